"""Nodes for ComfyUI: schemas, tooltips, previews."""
