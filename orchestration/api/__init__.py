"""The HTTP API under `/api/v1/`: parse, check who may, call one service, translate its errors."""
