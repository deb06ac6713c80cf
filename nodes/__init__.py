"""What ComfyUI sees: schema, tooltips, previews."""
