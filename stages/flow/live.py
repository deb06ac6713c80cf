"""Flow that is estimated when a window of frames is read and stays on its device: for whole methods, which read a clip once."""

from functools import partial

import torch
import torch.nn.functional as F

from ...hdr.device import to_device
from ...hdr.sequence import ExposureSequence
from ...models.flow import BASE_FLOW
from ...models.flow.base_flow import MotionSearch
from ..runtime.networks import load_network
from .estimate import FlowEstimator


class LiveFlow:
    """A `FlowField` that is estimated on access, for frames that are read roughly in order. The flow is that of
    `estimate.estimate_flow`; it is kept until `forget`."""

    def __init__(self, sequence: ExposureSequence, device="cpu", network: MotionSearch | None = None):
        self.sequence, self.size, self.device = sequence, sequence.size, torch.device(device)
        self.kept: dict[int, torch.Tensor] = {}
        self.frames: dict[int, torch.Tensor] = {}
        # Without a reference back to this object, so that all is freed as soon as it is dropped.
        self.frame = partial(_uploaded, sequence, self.device, self.frames)
        self.estimator = FlowEstimator(sequence, network=network, device=device, upload=self.frame)

    @property
    def offsets(self) -> tuple[int, ...]:
        return self.sequence.offsets

    @property
    def clip_exposures(self) -> torch.Tensor:
        return self.sequence.exposures

    def __len__(self) -> int:
        return len(self.sequence)

    def read(self, offset: int, indices, device=None) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (n,2,H,W) in pixels and confidence (n,1,H,W) of the frames `indices`, float32 at full size."""
        place = self.estimator.offsets.index(offset)
        stored = torch.stack([self._motion(t)[place] for t in indices])
        found = F.interpolate(stored.float(), size=self.size, mode="bilinear", align_corners=False)
        return found[:, :2], found[:, 2:]

    def plain(self, a: int, b: int, device=None) -> torch.Tensor | None:
        """See `FlowField.plain`."""
        return self.estimator.pairs.flow(a, b) if abs(a - b) == self.sequence.period else None

    def _motion(self, t: int) -> torch.Tensor:
        if t not in self.kept:
            after = range(t, min(t + self.estimator.at_once, len(self)))
            frames = [k for k in after if k not in self.kept]
            self.kept |= dict(zip(frames, self.estimator.motion(frames), strict=True))
        return self.kept[t]

    def forget(self, before: int) -> None:
        """Drop the data of frames before `before`."""
        self.kept = {t: motion for t, motion in self.kept.items() if t >= before}
        for t in [t for t in self.frames if t < before - self.sequence.period]:
            del self.frames[t]
        self.estimator.forget(before)


def _uploaded(
    sequence: ExposureSequence, device: torch.device, frames: dict[int, torch.Tensor], t: int
) -> torch.Tensor:
    """Code values (1,3,H,W) of frame t on the device, copied once for flow and windows, and kept in `frames`."""
    if t not in frames:
        frames[t] = to_device(sequence.frames[[t]], device, torch.float32).movedim(-1, 1)
    return frames[t]


def live_base_flow(sequence: ExposureSequence, device="cpu") -> LiveFlow:
    """The flow of `estimate.base_flow`."""
    return LiveFlow(sequence, device, load_network(BASE_FLOW).to(device))
