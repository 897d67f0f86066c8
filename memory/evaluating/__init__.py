"""How well recall finds what questions need, measured through the public service on PostgreSQL."""
