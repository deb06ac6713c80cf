#!/usr/bin/env bash
# Trains a network of the pack from nothing and installs it: scripts/train.sh RECIPE MINUTES [SCENES]
# SCENES: folder of CC0 panoramas (.exr, .hdr); without it scripts/fetch_scenes.sh gets some. Clips, checkpoints and curves
# lie in .engine/training; what is there already is used again, so an interrupted run goes on where it was.
# HDRWEAVE_CLIPS: how many clips to make, default 2400 (7 GB, about an hour on two cores with their flow).
set -euo pipefail
cd "$(dirname "$0")/.."
recipe=${1:?which recipe? for instance: scripts/train.sh f2hdr 106}
minutes=${2:?how many minutes? for instance: scripts/train.sh f2hdr 106}
scenes=${3:-training/data/scenes/train}
work=.engine/training
scripts/setup_engine.sh
[ -d "$scenes" ] || scripts/fetch_scenes.sh
run() { .engine/venv/bin/python -m "hdrweave.training.$@"; }
run synthesize --scenes "$scenes" --out "$work/shards" --count "${HDRWEAVE_CLIPS:-2400}" --seed 1000000 --size 256x192 --frames 5
run base_flow --shards "$work/shards"
[ -f "$work/$recipe/checkpoint.pt" ] && resume=--resume || resume=
run train "$recipe" --shards "$work/shards" --out "$work/$recipe" --minutes "$minutes" --licence CC0 --install $resume
