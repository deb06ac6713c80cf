"""Losses, trainer, and a recipe for each network."""
