#!/usr/bin/env bash
# Trains a network of the pack from nothing and installs it: scripts/train.sh RECIPE MINUTES [SCENES]
# SCENES: folder of panoramas (.exr, .hdr); default scenes/train, which scripts/fetch_scenes.sh fills where it is empty.
# Networks that it builds on are the package's: docs/TRAINING.md has their order. Clips, checkpoints and curves lie in
# .engine/training; existing ones are used again, so an interrupted run continues.
# HDRWEAVE_CLIPS: number of clips to make, default 2400 (7 GB, about an hour on two cores with their flow), or 576 of seven
# frames for recipes that need more than five. HDRWEAVE_DEVICE: where to train, cpu (default), cuda or mps. HDRWEAVE_SEED: of
# the training, default 0; another one trains anew, on the same clips. HDRWEAVE_LICENCE: of SCENES, for the metadata of the
# weights, default "not stated"; without SCENES CC0.
set -euo pipefail
cd "$(dirname "$0")/.."
recipe=${1:?which recipe? for instance: scripts/train.sh f2hdr 294}
minutes=${2:?how many minutes? for instance: scripts/train.sh f2hdr 294}
scenes=${3:-scenes/train}
seed=${HDRWEAVE_SEED:-0}
[ -n "${3:-}" ] && licence="not stated" || licence=CC0
licence=${HDRWEAVE_LICENCE:-$licence}
work=.engine/training
scripts/setup_engine.sh
[ -n "${3:-}" ] || compgen -G "$scenes/*.exr" >/dev/null || scripts/fetch_scenes.sh
run() { .engine/venv/bin/python -m hdrweave.training "$@"; }
shards=$(run prepare "$recipe" --scenes "$scenes" --out "$work" ${HDRWEAVE_CLIPS:+--count "$HDRWEAVE_CLIPS"} |
  tee >(cat >&2) | tail -n 1)
out=$work/$recipe
[ "$seed" = 0 ] || out=${out}_$seed
[ -f "$out/checkpoint.pt" ] && resume=--resume || resume=
run train "$recipe" --shards "$shards" --out "$out" --minutes "$minutes" --licence "$licence" --install $resume --seed "$seed" \
  --device "${HDRWEAVE_DEVICE:-cpu}"
