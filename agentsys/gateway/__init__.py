"""The only door to langchain: chat models, embeddings, metering, rate limits."""
