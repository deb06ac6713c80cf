#!/usr/bin/env bash
# An alternating-exposure clip in, scene-linear HDR out:
# scripts/demo.sh [CLIP] [--workflow f2hdr] [--pattern -3,0] [--response S-Log3] [--out DIR]
# Without CLIP it takes the workflow's sample. Sets up everything it needs under .engine/ by itself.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
"$root/scripts/setup_engine.sh"
exec "$root/.engine/venv/bin/python" "$root/scripts/demo.py" "$@"
