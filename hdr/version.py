"""The version of the pack, as in pyproject.toml, for files that say what made them."""

VERSION = "0.2.0"
