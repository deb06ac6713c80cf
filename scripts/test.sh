#!/usr/bin/env bash
# Sets up what the tests need (engine, and a browser where it may install one), then runs them all.
# Arguments go to pytest: scripts/test.sh tests/hdr -k response
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
"$root/scripts/setup_engine.sh"

if ! command -v chromium >/dev/null || ! command -v node >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "[setup] chromium and node"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y chromium fonts-dejavu nodejs npm; } \
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
