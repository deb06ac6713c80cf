"""Long clips in ranges of frames, by many processes or machines into one folder."""
