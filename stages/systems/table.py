"""All methods by name, in the order in which they are listed. A new one is a file here, and its row in this table."""

from . import classical, dealthdr, deephdrvideo, f2hdr, f2hdr_refined, flagship, location, lrhdr
from .system import System

FILES = (classical, deephdrvideo, f2hdr, f2hdr_refined, dealthdr, lrhdr, location, flagship)
SYSTEMS: dict[str, System] = {file.SYSTEM.name: file.SYSTEM for file in FILES}
BY_QUALITY = {"balanced": "f2hdr_refined", "quality": "flagship", "fast": "classical"}  # for users who know no method
