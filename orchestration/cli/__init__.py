"""What the commands share: output, waiting, watching."""
