"""Synthetic alternating-exposure video with exact ground truth, losses, trainer, evaluation."""
