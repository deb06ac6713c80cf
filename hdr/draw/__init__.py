"""Text, lines and plots drawn on pictures."""
