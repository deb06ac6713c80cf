"""Run one of workflows/ on one clip without a browser; scripts/demo.sh calls it when the engine is set up."""

import argparse
import json
import re
import signal
import sys
import time
from pathlib import Path

import comfy_client
from render import Progress, render, summary

FILES = sorted((comfy_client.ROOT / "workflows").glob("*.json"))
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
        with comfy_client.engine(out) as base:
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
    """Settings of the workflow, as `render` takes them. Without a clip its own sample and pattern stay."""
    chosen = [f"{LOADER}.response={options.response}", f"{LOADER}.count={options.frames}"]
    text = WORKFLOWS[options.workflow].read_text(encoding="utf-8")
    chosen += [setting for kind, setting in WRITERS.items() if f'"{kind}"' in text]
    if options.clip:
        chosen += [f"{LOADER}.path={Path(options.clip).expanduser().resolve()}"]
    if options.clip or options.pattern:
        chosen += [f"{LOADER}.pattern={options.pattern or 'auto'}"]
    return chosen


def _parse(arguments):
    parser = argparse.ArgumentParser(
        prog="demo.sh", description="An alternating-exposure clip in, scene-linear HDR out."
    )
    parser.add_argument("clip", nargs="?", help="video file or image sequence (default: the workflow's sample)")
    parser.add_argument(
        "--workflow", metavar="NAME", choices=WORKFLOWS, default="flagship",
        help=f"method to run: {', '.join(WORKFLOWS)} (flagship)",
    )  # fmt: skip
    parser.add_argument("--pattern", help='exposures of one period, as "-3,0" or "1/500,1/60" (auto)')
    parser.add_argument("--response", default="gamma2.2", help="response curve: gamma2.2, linear, S-Log3 … (gamma2.2)")
    parser.add_argument("--frames", type=int, default=0, help="frames to take from the start; 0 = all (0)")
    parser.add_argument("--out", default="out", help="folder for the results (out)")
    joined = re.sub("--pattern\0", "--pattern=", "\0".join(arguments))  # "-3,0" would be taken for an option
    return parser.parse_args(joined.split("\0") if joined else [])


if __name__ == "__main__":
    sys.exit(main())
