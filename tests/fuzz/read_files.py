"""Reads the files that are named on its command line, one after another, and says how each went: `python read_files.py KIND
FILE …`. Runs in a process of its own, which a native crash or a hang may end."""

import json
import resource
import sys
import traceback
from pathlib import Path

import conftest  # noqa: F401  the pack as `hdrweave`

ROOT = str(Path(__file__).resolve().parents[2])
MAX_MEMORY = 1_000_000  # kB above what the libraries take


def reader(kind: str):
    """What a user's file of that kind meets first."""
    if kind == "video":
        from hdrweave.stages.clip.load import load_clip

        return lambda path: load_clip(path, "-3,0")
    if kind == "image":
        from hdrweave.stages.clip.load import read_clip

        return read_clip
    if kind == "exr":
        from hdrweave.stages.clip.load import load_hdr

        return load_hdr
    if kind == "weights":
        from hdrweave.models.registry import read_network

        return read_network
    if kind == "lut":
        from hdrweave.hdr.io.lut import response_from_lut

        return response_from_lut
    import render
    from ui_to_api import to_prompt

    info = object_info()
    return lambda path: to_prompt(render.read_workflow(path), info)


def object_info() -> dict:
    """What a server says about the pack's nodes, and that it knows the others of its workflows."""
    nodes = json.loads((Path(ROOT) / "tests/nodes/schema_snapshot.json").read_text(encoding="utf-8"))
    info = {}
    for name, node in nodes.items():
        groups = {"required": {}, "optional": {}}
        for entry in node["inputs"]:
            kind = entry.get("choices") or entry["type"]
            groups["optional" if entry["optional"] else "required"][entry["name"]] = [
                kind,
                {"default": entry.get("default")},
            ]
        info[name] = {"input": groups, "display_name": node["display_name"]}
    for path in (Path(ROOT) / "workflows").glob("*.json"):
        for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]:
            info.setdefault(node["type"], {"input": {"required": {}}})
    return info


def outcome(read, path) -> str:
    """read, refused (one printable sentence of the pack's own), or what went wrong."""
    try:
        read(path)
    except (ValueError, OSError, ImportError) as error:
        raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
        message = str(error)
        if not raised_in.startswith(ROOT) or "site-packages" in raised_in:
            return f"raw {type(error).__name__} from {raised_in}: {message[:200]!r}"
        try:
            message.encode("utf-8")
        except UnicodeEncodeError:
            return f"unprintable {message!r}"
        if "\n" in message or len(message) > 1500:
            return f"no sentence {message[:300]!r}"
        return "refused"
    except BaseException as error:
        return f"raw {type(error).__name__}: {str(error)[:200]!r} at {traceback.extract_tb(error.__traceback__)[-1]}"
    return "read"


def main(kind: str, files: list[str]) -> None:
    read = reader(kind)
    used = None
    for file in files:
        print("begin", flush=True)
        result = outcome(read, file)
        now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if used is not None and now - used > MAX_MEMORY:
            result = f"memory {(now - used) // 1000} MB"
        used = max(used or 0, now)
        print("end", result.replace("\n", " "), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.read().splitlines())
