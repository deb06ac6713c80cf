"""From files to a checked, normalized exposure sequence."""
