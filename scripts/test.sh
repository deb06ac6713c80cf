#!/usr/bin/env bash
# Sets up what the tests need (engine, and a browser where it may install one), then runs them all.
# Arguments go to pytest: scripts/test.sh tests/hdr -k response
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
"$root/scripts/setup_engine.sh"

missing=() # only what is: Debian's npm and another source's node cannot be installed together
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

cd "$root"
exec .engine/venv/bin/python -m pytest -q -rs "$@"
