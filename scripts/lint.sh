#!/usr/bin/env bash
# Checks style (ruff), types (pyright in basic mode; [tool.pyright] of pyproject.toml says over what), and what the Comfy Registry
# gets for calls that its scan refuses (bandit).
# Needs what `scripts/setup_engine.sh --python` sets up.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.engine/venv/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
# basedpyright is pyright as a wheel with its own Node.js; pyright's own wheel downloads itself when it is first run.
"$bin/basedpyright"
"$bin/bandit" --quiet --recursive __init__.py hdr models nodes stages
