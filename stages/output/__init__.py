"""Results for the screen and for files."""
