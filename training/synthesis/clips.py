"""Evaluation clips as folders, in formats that other programs can read and write.

<split>/<scene>/00000.png …     code values, 16 bit
                exposures.txt   one relative exposure a line
                gt.npy          (T,H,W,3) radiance, 1.0 = clipping of the shortest exposure; optional
                flow.npz        layers of a synthetic clip, which determine any flow exactly; optional
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...hdr.cv import cv2
from ...hdr.exposure import exposure_period, merge_close_exposures
from ...hdr.io.image_files import read_image
from ...hdr.response import response_named
from ...hdr.sequence import ExposureSequence
from .clip import RESPONSE, SyntheticClip, exact_flow, exact_occlusion


@dataclass(frozen=True)
class EvaluationClip:
    """A clip read from a folder, see `SyntheticClip`; hdr, labels and placements are None where they are unknown."""

    name: str
    ldr: torch.Tensor
    exposures: torch.Tensor
    period: int
    hdr: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    placements: torch.Tensor | None = None

    def flow(self, a: int, b: int) -> torch.Tensor:
        """Exact backward flow (2,H,W) from frame a to frame b, in pixels; for clips with known layers."""
        return exact_flow(self.labels[a], self.placements[a], self.placements[b])

    def occluded(self, a: int, b: int) -> torch.Tensor:
        """Occlusion mask (H,W), bool, of frame a towards frame b; for clips with known layers."""
        return exact_occlusion(self.labels[a], self.labels[b], self.flow(a, b))

    def sequence(self) -> ExposureSequence:
        """The captured clip as an `ExposureSequence`."""
        return ExposureSequence(self.ldr, self.exposures, response_named(RESPONSE), self.period, source=self.name)


def write_clip(folder, clip: SyntheticClip) -> None:
    """Write `clip` into `folder`, which is created; exposures.txt is written last and marks a complete clip."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(clip.ldr.numpy()):
        code = np.round(frame[..., ::-1] * 65535).astype(np.uint16)
        cv2().imwrite(str(folder / f"{index:05d}.png"), code)
    np.save(folder / "gt.npy", clip.hdr.numpy())
    np.savez_compressed(folder / "flow.npz", labels=clip.labels.numpy(), placements=clip.placements.numpy())
    lines = "".join(f"{e:.6g}\n" for e in clip.exposures.tolist())
    (folder / "exposures.txt").write_text(lines)


def read_clip(folder) -> EvaluationClip:
    """Read a clip from its folder. Raises OSError where the numbers of frames and exposures differ, ValueError where
    the ground truth has another size or is not finite."""
    folder = Path(folder)
    paths = sorted(folder.glob("*.png"))
    exposures = torch.tensor([float(line) for line in (folder / "exposures.txt").read_text().split()])
    if not paths or len(paths) != len(exposures):
        raise OSError(
            f"{folder} has {len(paths)} .png frames and {len(exposures)} exposures: there must be one for each"
        )
    frames = [read_image(path)[0] for path in paths]
    ldr = np.stack(frames).astype(np.float32) / np.iinfo(frames[0].dtype).max
    levels = merge_close_exposures(exposures)
    truth = np.load(folder / "gt.npy").astype(np.float32) if (folder / "gt.npy").exists() else None
    if truth is not None and (truth.shape != ldr.shape or not np.isfinite(truth).all()):
        raise ValueError(
            f"{folder / 'gt.npy'} has the shape {truth.shape}{'' if np.isfinite(truth).all() else ' and holds NaN or infinity'}: "
            f"finite radiance of {ldr.shape}, as the frames, is expected"
        )
    layers = np.load(folder / "flow.npz") if (folder / "flow.npz").exists() else None
    if layers and (layers["labels"].shape != ldr.shape[:3] or len(layers["placements"]) != len(ldr)):
        raise ValueError(f"{folder / 'flow.npz'} is not of these {len(ldr)} frames: delete it")
    return EvaluationClip(
        name=f"{folder.parent.name}/{folder.name}",
        ldr=torch.from_numpy(ldr),
        exposures=levels / levels.min(),
        period=exposure_period(exposures),
        hdr=None if truth is None else torch.from_numpy(truth),
        labels=torch.from_numpy(layers["labels"]) if layers else None,
        placements=torch.from_numpy(layers["placements"]) if layers else None,
    )


def find_clips(folder) -> dict[str, list[Path]]:
    """Clip folders by split: every <folder>/<split>/<scene> that holds an exposures.txt."""
    splits: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).glob("*/*/exposures.txt")):
        splits.setdefault(path.parent.parent.name, []).append(path.parent)
    return splits
