"""The published systems, and the pack's own, whole."""
