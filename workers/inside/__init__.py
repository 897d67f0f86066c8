"""Programs that run inside the sandbox, by the Python of the repository that is looked at. Nothing in here
is imported by agentsys, and nothing in here imports it: the files are copied in by their text."""
