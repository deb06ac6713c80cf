"""Optical flow between frames of different exposure."""
