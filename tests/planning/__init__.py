"""Plans, playbooks, references and scopes, before they are rows."""
