"""Complete systems: the published ones and the pack's own."""
