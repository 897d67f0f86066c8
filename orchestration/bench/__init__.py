"""The same work on bare Celery and on agentsys, in the same run, on the same servers."""
