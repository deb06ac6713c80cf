"""The version of the pack, as in pyproject.toml, for the metadata of files."""

VERSION = "0.2.0"
