"""The glossary names what exists: every path in it is a file or folder, every identifier occurs in the code."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("|") and not re.match(r"\|[-|]+\|", line) and "our name" not in line
]


def test_every_place_exists():
    places = {place for row in ROWS for place in re.findall(r"`([\w/.]+)`", row[-1]) if "*" not in place}
    missing = sorted(place for place in places if not (ROOT / place).exists())
    assert not missing


def test_every_identifier_is_in_the_code():
    layers = ("hdr", "models", "stages", "training")
    code = "\n".join(p.read_text(encoding="utf-8") for layer in layers for p in (ROOT / layer).rglob("*.py"))
    words = set(re.findall(r"\w+", code))
    named = {name for row in ROWS for name in re.findall(r"`(\w+)`", row[1])}
    assert not sorted(named - words)
