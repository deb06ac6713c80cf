"""Make workflows/*.json and subgraphs/*.json anew: the graphs of scripts/workflow_graphs, built in ComfyUI's own front end
and saved by it.

Run after nodes have changed: .engine/venv/bin/python scripts/build_workflows.py --pictures
Needs what scripts/test.sh sets up (engine, chromium, node).
"""

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

import comfy_engine
from render import Progress, render
from thumbnail import thumbnail
from workflow_graphs import graphs
from workflow_graphs.stages_flagship import BLUEPRINT, folded_flagship

ROOT = comfy_engine.ROOT
WORKFLOWS = graphs()
BLUEPRINT_DESCRIPTION = (
    "Alternating exposures to scene-linear HDR: the whole flagship as one node. Open it to change its parts."
)


def blueprint(workflow: dict) -> dict:
    """The one node in `workflow` that stands for others, alone and unlinked: what ComfyUI lists among its blueprints."""
    subgraphs = workflow["definitions"]["subgraphs"]
    (folded,) = (n for n in workflow["nodes"] if n["type"] in {s["id"] for s in subgraphs})
    folded["inputs"] = [{**slot, "link": None} for slot in folded["inputs"]]
    folded["outputs"] = [{**slot, "links": []} for slot in folded["outputs"]]
    return {
        "revision": 0,
        "last_node_id": folded["id"],
        "last_link_id": 0,
        "nodes": [folded],
        "links": [],
        "definitions": {"subgraphs": subgraphs},
        "extra": {"BlueprintDescription": BLUEPRINT_DESCRIPTION},
        "version": 0.4,
    }


def named(workflow: dict) -> dict:
    """`workflow` with what a package manager reads to offer this pack where it is missing, and seen at 100 % when opened."""
    version = re.search(r'^version = "([\d.]+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)[1]
    parts = [workflow, *workflow.get("definitions", {}).get("subgraphs", ())]
    for node in (n for part in parts for n in part["nodes"]):
        if node["type"].startswith("HDRWeave_"):
            node["properties"] |= {"cnr_id": "hdrweave", "ver": version}
    workflow["extra"]["ds"] = {"scale": 1, "offset": [90, 150]}  # beside the side bar, below the top one
    return workflow


def save(path: Path, workflow: dict) -> None:
    named(workflow)
    path.write_text(json.dumps(workflow, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(workflow['nodes'])} nodes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pictures",
        nargs="*",
        choices=[*WORKFLOWS, []],
        metavar="NAME",
        help="also run these, or all where none is named, and make their thumbnails anew",
    )
    pictures = parser.parse_args().pictures
    watched = {name for name, graph in WORKFLOWS.items() if any(n["type"] == "SaveVideo" for n in graph["nodes"])}
    pictured = watched & set(WORKFLOWS if pictures == [] else pictures or ())  # those that write a tone-mapped video
    with tempfile.TemporaryDirectory() as folder, comfy_engine.engine(Path(folder), log="build.log") as base:
        jobs = Path(folder) / "jobs.json"
        jobs.write_text(json.dumps([{"build": graph} for graph in (*WORKFLOWS.values(), folded_flagship())]))
        subprocess.run(["node", ROOT / "scripts" / "front_end.mjs", comfy_engine.ENGINE, base, jobs], check=True)
        *results, folded = json.loads(Path(f"{jobs}.result").read_text())
        save(ROOT / "subgraphs" / f"{BLUEPRINT}.json", blueprint(folded["workflow"]))
        for name, result in zip(WORKFLOWS, results, strict=True):
            save(ROOT / "workflows" / f"{name}.json", result["workflow"])
            if name in pictured:
                settings = [f"Save Video.filename_prefix={name}/tonemapped"]
                files = render(base, result["workflow"], settings, Path(folder), Progress())
                video = next(f for f in files if f.suffix == ".mp4")
                path = next(n["widgets"]["path"] for n in WORKFLOWS[name]["nodes"] if n["key"] == "load")
                thumbnail(ROOT / "workflows" / "assets" / path, video, ROOT / "workflows" / f"{name}.jpg")


if __name__ == "__main__":
    main()
