"""How stages run: windows of frames, tiles, device, precision, networks."""
