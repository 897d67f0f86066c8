"""Pure: how important something is, how candidates are ranked, how an event reads."""
