"""What scripts/demo.sh runs once the engine is there: workflows/f2hdr.json, headless, on one clip."""

import argparse
import json
import re
import signal
import sys
import time
from pathlib import Path

import comfy_client
from render import Progress, render, summary

SAMPLE = comfy_client.ROOT / "workflows" / "assets" / "sample_alternating.mp4"
WORKFLOW = comfy_client.ROOT / "workflows" / "f2hdr.json"
LOADER = "Load Alternating Exposures"


def main() -> int:
    options = _parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the engine is stopped, too
    clip, out = Path(options.clip).expanduser().resolve(), Path(options.out).expanduser().resolve()
    settings = [f"{LOADER}.path={clip}", f"{LOADER}.pattern={options.pattern}", f"{LOADER}.response={options.response}"]
    settings += [f"{LOADER}.count={options.frames}"]
    settings += ["Save HDR Sequence.prefix=hdr", "Save Video.filename_prefix=tonemapped"]
    settings += ["Save Image.filename_prefix=contact_sheet"]
    begin = time.monotonic()
    try:
        print(f"{clip.name} -> {out}\nstarting ComfyUI …", flush=True)
        with comfy_client.engine(out) as base:
            files = render(base, json.loads(WORKFLOW.read_text(encoding="utf-8")), settings, out, Progress())
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


def _parse():
    parser = argparse.ArgumentParser(
        prog="demo.sh", description="An alternating-exposure clip in, scene-linear HDR out."
    )
    parser.add_argument("clip", nargs="?", default=SAMPLE, help="video file or image sequence (default: the sample)")
    parser.add_argument("--pattern", default="auto", help='exposures of one period, as "-3,0" or "1/500,1/60" (auto)')
    parser.add_argument(
        "--response", default="gamma2.2", help="how code values became: gamma2.2, linear, S-Log3 … (gamma2.2)"
    )
    parser.add_argument("--frames", type=int, default=0, help="frames to take from the start; 0 = all (0)")
    parser.add_argument("--out", default="out", help="folder for the results (out)")
    joined = re.sub("--pattern\0", "--pattern=", "\0".join(sys.argv[1:]))  # "-3,0" would be taken for an option
    return parser.parse_args(joined.split("\0") if joined else [])


if __name__ == "__main__":
    sys.exit(main())
