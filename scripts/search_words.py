"""Write web/search_words.json anew: the search words of all nodes, which servers older than 0.10 do not pass on.

Run after the search words of a node have changed: .engine/venv/bin/python scripts/search_words.py
"""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "web" / "search_words.json"


def search_words() -> dict[str, list[str]]:
    """`search_aliases` in the schemas of nodes/, by node id; read from the source, as an old engine forgets them."""
    calls = (
        {keyword.arg: keyword.value for keyword in call.keywords}
        for path in sorted((ROOT / "nodes").glob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
    )
    return {
        ast.literal_eval(found["node_id"]): ast.literal_eval(found["search_aliases"])
        for found in calls
        if "node_id" in found and "search_aliases" in found
    }


def content() -> str:
    return json.dumps(search_words(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(content(), encoding="utf-8")
