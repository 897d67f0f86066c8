"""The API against its own schema, by schemathesis, on a live server: `make api-fuzz CASES=5000`."""
