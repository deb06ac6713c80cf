"""HDR estimates of each frame from its neighbours."""
