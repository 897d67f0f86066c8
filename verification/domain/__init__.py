"""Pure rules of verification: no Django, no clock, no input or output."""
