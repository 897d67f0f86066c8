"""What the workers decide, without Django, clock, randomness or I/O."""
