"""Chaos, in small: the witness, the check and a few real scenarios."""
