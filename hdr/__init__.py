"""Imaging mathematics without learned weights."""
