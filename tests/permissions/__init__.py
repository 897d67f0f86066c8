"""Who may open and do what, page by page."""
