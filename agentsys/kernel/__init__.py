"""What every layer shares and nothing more: clock, ids, hashes, errors, state machines. Pure."""
