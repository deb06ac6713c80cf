"""Run one of workflows/ on one clip without a browser; scripts/demo.sh calls it when the engine is set up."""

import argparse
import json
import re
import signal
import sys
import time
from pathlib import Path

import comfy_client
import comfy_engine
from hdrweave.stages.runtime.command_line import with_pattern_joined
from render import Progress, render, summary

FILES = sorted((comfy_engine.ROOT / "workflows").glob("*.json"))
WORKFLOWS = {re.sub(r"^(paper|stages)_", "", path.stem): path for path in FILES}
LOADER = "Load Alternating Exposures"
WRITERS = {  # where the nodes of a type write to
    "HDRWeave_SaveHDRSequence": "Save HDR Sequence.prefix=hdr",
    "HDRWeave_SaveHDRVideo": "Save HDR Video.prefix=hdr",
    "SaveVideo": "Save Video.filename_prefix=tonemapped",
    "SaveImage": "Save Image.filename_prefix=contact_sheet",
}


def main() -> int:
    options = _parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the engine is stopped, too
    out = Path(options.out).expanduser().resolve()
    workflow = json.loads(WORKFLOWS[options.workflow].read_text(encoding="utf-8"))
    begin = time.monotonic()
    try:
        print(f"{options.clip or 'the sample'} -> {options.workflow} -> {out}\nstarting ComfyUI …", flush=True)
        with comfy_engine.engine(out) as base:
            files = render(base, workflow, settings(options), out, Progress())
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except (comfy_client.RunFailed, ValueError, OSError, RuntimeError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(f"\ndone in {time.monotonic() - begin:.0f} s; in {out}:")
    for line in summary(files, out):
        print(f"  {line}")
    return 0


def settings(options) -> list[str]:
    """Settings of the workflow, as `render` takes them. Without a clip what it says of its own sample stays."""
    text = WORKFLOWS[options.workflow].read_text(encoding="utf-8")
    chosen = [setting for kind, setting in WRITERS.items() if f'"{kind}"' in text]
    if options.clip:
        chosen += [f"{LOADER}.path={Path(options.clip).expanduser().resolve()}"]
    told = {
        "pattern": options.pattern,
        "response": options.response,
        "gamut": options.gamut,
        "count": options.frames,
    }
    for name, value in {"pattern": "auto", "response": "gamma2.2", "gamut": "auto", "count": 0}.items():
        if options.clip or told[name] is not None:
            chosen += [f"{LOADER}.{name}={value if told[name] is None else told[name]}"]
    return chosen


def _parse(arguments):
    parser = argparse.ArgumentParser(
        prog="demo.sh", description="An alternating-exposure clip in, scene-linear HDR out."
    )
    parser.add_argument("clip", nargs="?", help="video file or image sequence (default: the workflow's sample)")
    parser.add_argument(
        "--workflow", metavar="NAME", choices=WORKFLOWS, default="f2hdr_refined",
        help=f"method to run: {', '.join(WORKFLOWS)} (f2hdr_refined)",
    )  # fmt: skip
    parser.add_argument("--pattern", help='exposures of one period, as "-3,0" or "1/500,1/60" (auto)')
    parser.add_argument("--response", help="response curve: gamma2.2, linear, S-Log3 … (gamma2.2)")
    parser.add_argument("--gamut", help="primaries of the camera: S-Gamut3.Cine, V-Gamut … (as tagged, or Rec.709)")
    parser.add_argument("--frames", type=int, help="frames to take from the start; 0 = all (0)")
    parser.add_argument("--out", default="out", help="folder for the results (out)")
    return parser.parse_args(with_pattern_joined(arguments))


if __name__ == "__main__":
    sys.exit(main())
