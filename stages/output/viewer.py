"""Frames for the viewer in the browser: half floats, a file for each frame of each layer."""

import math
import os
import secrets
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from ...hdr.box_filter import area_mean
from ...hdr.io.atomic import atomic_path
from ...hdr.sequence import CandidateSet, ExposureSequence, LazyFrames
from ..runtime.check import same_exposures
from ..runtime.windows import Progress, quiet, spread

LONGEST_SIDE = 1280  # pixels; larger frames are reduced to it by area means
HALF = 65504.0
KEPT = 4 << 30  # bytes of earlier runs that stay, as viewers that are not run again still show theirs
GRAY = 0.18


@dataclass(frozen=True)
class Layer:
    """name: as shown in the viewer. frames: frame source (T,H,W,3), or masks (T,H,W). encoded: values are display-encoded
    in [0,1], which exposure does not change; otherwise radiance."""

    name: str
    frames: "torch.Tensor | LazyFrames | _Captured"
    encoded: bool = False


def layers_of(
    hdr,
    exposures: ExposureSequence | None = None,
    before=None,
    candidates: CandidateSet | None = None,
    vote_map=None,
    mask=None,
) -> list[Layer]:
    """The layers of whatever is given, the result first. Raises ValueError for one with another number of frames,
    and for candidates of other exposures than those of `exposures`."""
    layers = [Layer("result", hdr)]
    if exposures is not None:
        layers.append(Layer("as captured", _Captured(exposures)))
    if before is not None:
        layers.append(Layer("before", before))
    layers += [Layer(f"candidate {c.name}", c.radiance) for c in candidates or ()]
    if vote_map is not None:
        layers.append(Layer("vote map", vote_map[:, : hdr.shape[1]], encoded=True))  # without the names below it
    if mask is not None:
        layers.append(Layer("mask", mask, encoded=True))
    for layer in layers:
        if len(layer.frames) != len(hdr):
            raise ValueError(
                f"{layer.name} has {len(layer.frames)} frames, the result has {len(hdr)}: connect those of one clip"
            )
    if exposures is not None:
        for c in candidates or ():
            same_exposures(f"candidate {c.name!r}", c.clip_exposures, exposures.exposures)
    return layers


class _Captured:
    """Radiance of the captured frames, each by itself, as a frame source."""

    def __init__(self, sequence: ExposureSequence):
        self._sequence = sequence

    def __len__(self) -> int:
        return len(self._sequence)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._sequence.radiance([index])[0]


def write_layers(
    layers: Sequence[Layer], folder: Path, start: int = 0, count: int = 24, progress: Progress = quiet
) -> list[dict]:
    """Write the frames start … start+count-1 of all layers into `folder`; a description of each layer.

    A file is rows of little-endian half floats, channels interleaved: `width`, `height`, `channels` (3, or 1 of a mask), and
    `files`, names in `folder`, are in the description, with `name` and `encoded`. Values beyond the range of half floats are
    clamped, NaN stays. Of earlier runs, the oldest are deleted beyond KEPT bytes. Raises ValueError where no frame is left.
    """
    total = len(layers[0].frames)
    chosen = range(min(start, total), min(start + count, total))
    if not chosen:
        raise ValueError(f"start is {start}, the clip has {total} frames: lower it")
    folder.mkdir(parents=True, exist_ok=True)
    drop_oldest(folder)
    token, written = secrets.token_hex(6), []
    for k, layer in enumerate(layers):
        entry = {"name": layer.name, "encoded": layer.encoded, "files": []}
        for done, t in enumerate(chosen):
            frame = small(layer.frames[t])
            name = f"{token}_{k}_{t:06d}.f16"
            with atomic_path(folder / name) as path:
                Path(path).write_bytes(frame.clamp(-HALF, HALF).half().numpy().astype("<f2").tobytes())
            entry["files"].append(name)
            entry |= {"height": frame.shape[0], "width": frame.shape[1], "channels": frame.shape[2]}
            progress(k * len(chosen) + done + 1, len(layers) * len(chosen))
        written.append(entry)
    return written


def drop_oldest(folder: Path) -> None:
    """Delete files of whole runs of `write_layers`, the oldest first, until those of no more than KEPT bytes are left."""
    runs: dict[str, list[tuple[Path, os.stat_result]]] = defaultdict(list)
    for path in folder.glob("*_*.f16"):
        runs[path.name.split("_")[0]].append((path, path.stat()))
    left = KEPT
    for files in sorted(runs.values(), key=lambda files: max(about.st_mtime for _, about in files), reverse=True):
        left -= sum(about.st_size for _, about in files)
        for path, _ in files if left < 0 else ():
            with suppress(OSError):  # being read, on Windows
                path.unlink()


def small(frame: torch.Tensor) -> torch.Tensor:
    """A frame (H,W,3) or mask (H,W) as float32 (h,w,C) on the CPU, its long side at most LONGEST_SIDE, by the mean of areas."""
    frame = frame.float().cpu()
    frame = frame[..., None] if frame.ndim == 2 else frame[..., :3]
    share = LONGEST_SIDE / max(frame.shape[:2])
    if share < 1:
        size = [max(round(n * share), 1) for n in frame.shape[:2]]
        frame = area_mean(frame.movedim(-1, 0)[None], size)[0].movedim(0, -1)
    return frame.contiguous()


def first_gain(hdr, exposures: ExposureSequence | None = None) -> float:
    """The factor from radiance to display light at 0 EV: the longest exposure clips at display white, as in Exposure Strip;
    without exposures, the log mean of the clip becomes middle gray."""
    if exposures is not None:
        return float(exposures.levels.max() / exposures.levels.min())
    light = torch.cat([hdr[t].float().mean(-1).flatten() for t in spread(len(hdr), 4)])
    light = light[light.isfinite() & (light > 0)]
    if not len(light):
        return 1.0
    return GRAY / math.exp(float(light.log().mean()))
