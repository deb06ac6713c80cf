"""LRHDR (CVPR 2026): exposure interpolation, mapping to a representation free of exposure (ACCR), sparse fusion."""
