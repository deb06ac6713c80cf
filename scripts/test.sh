#!/usr/bin/env bash
# Sets up what the tests need, checks style and types, and runs all tests.
# Arguments go to pytest, and then only the tests run: scripts/test.sh tests/hdr -k response
# ComfyUI and a browser are set up unless all paths given are of tests that use neither.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

with_comfyui() { # true unless there are paths among the arguments and none of them needs ComfyUI
  local argument chosen=
  for argument; do
    case ${argument%%::*} in
      tests/hdr* | tests/models* | tests/stages* | tests/training* | tests/test_*) chosen=true ;;
      tests*) return 0 ;;
    esac
  done
  [ -z "$chosen" ]
}

install_browser() { # where it may; without one the browser tests are skipped
  local missing=() # only what is: Debian's npm and another source's node cannot be installed together
  command -v chromium >/dev/null || missing+=(chromium fonts-dejavu)
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      echo "[setup] ${missing[*]}"
      { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "${missing[@]}"; } \
        >"$root/.engine/setup-browser.log" 2>&1 || echo "[setup] no browser could be installed: its tests are skipped" >&2
    else
      echo "[setup] the browser tests need chromium and node; they are skipped" >&2
    fi
  fi
  if command -v npm >/dev/null && [ ! -d "$root/.engine/node_modules/playwright-core" ]; then
    npm install --silent --no-fund --no-audit --prefix "$root/.engine" playwright-core ||
      echo "[setup] playwright-core could not be installed: the browser tests are skipped" >&2
  fi
}

if with_comfyui "$@"; then
  "$root/scripts/setup_engine.sh"
  install_browser
else
  "$root/scripts/setup_engine.sh" --python
fi
cd "$root"
failed=0 # one failure hides no other
[ $# -gt 0 ] || scripts/lint.sh || failed=$?
.engine/venv/bin/python -m pytest -q -rs -n auto --maxprocesses 4 --dist loadfile "$@" || failed=$?
exit "$failed"
