"""Four layers of memory: working, episodic, semantic and procedural; recall and forgetting."""
