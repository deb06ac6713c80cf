"""Synthetic alternating-exposure clips with exact ground truth."""
