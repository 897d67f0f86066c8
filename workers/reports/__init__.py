"""Reports that agents write."""
