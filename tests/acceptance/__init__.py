"""Whole goals on real worker processes."""
