"""Words, plots and panels drawn on pictures."""
