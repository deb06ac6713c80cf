"""Networks, one file or folder per published idea."""
