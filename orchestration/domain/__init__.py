"""Pure decisions and formats: no Django, no clock, no randomness, no I/O."""
