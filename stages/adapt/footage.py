"""Training windows from a user's clip: crops of frames with near and far neighbours."""

import numpy as np
import torch

from ...hdr.frame_window import FrameWindow
from ...hdr.sequence import ExposureSequence, FlowField
from ..flow.long_range import LongRangeFlow
from ..runtime.check import same_exposures
from ..runtime.per_frame import neighbours_around
from ..systems.dealthdr import reach_of

MAX_HELD_OUT = 4  # frames that are never references in training
FLOWS = 40  # kept in memory

Box = tuple[slice, slice]  # rows and columns


class Footage:
    """Training windows of a normalized clip, in square crops with sides of `crop` pixels.

    Raises ValueError when the clip is too short, or the flow was made from another one.
    """

    def __init__(
        self, sequence: ExposureSequence, flow: FlowField, device: torch.device, reach: int, crop: int, seed: int
    ):
        least = 2 * sequence.period
        if len(sequence) < least:
            raise ValueError(
                f"the clip has {len(sequence)} frames: give at least {least} to adapt to, better 20 and more"
            )
        if len(flow) != len(sequence) or flow.size != sequence.size:
            raise ValueError("the flow is of another clip: wire the flow that was made from this one")
        same_exposures("the flow", flow.clip_exposures, sequence.exposures)
        self.sequence, self.device, self.crop = sequence, device, crop
        self.reach = max(reach, sequence.period)  # fewer frames may have only one exposure
        self.flow = LongRangeFlow(sequence, flow)
        self.rng = np.random.default_rng(seed)
        count = len(sequence)
        held = min(max(count // 6, 1), MAX_HELD_OUT)
        self.held_out = sorted({(2 * k + 1) * count // (2 * held) for k in range(held)})
        self.learned = [t for t in range(count) if t not in self.held_out]

    def around(self, t: int) -> list[int]:
        """Frame t in the middle of the neighbours that DeAltHDR uses."""
        return neighbours_around(self.sequence, t, reach_of(self.sequence))

    def subset(self, t: int) -> list[int]:
        """Frame t between two random neighbours of different exposure."""
        around = range(max(t - self.reach, 0), min(t + self.reach + 1, len(self.sequence)))
        exposures = self.sequence.exposures
        kinds = self.rng.permutation(sorted({float(exposures[n]) for n in around if n != t}))
        one, other = (self.rng.choice([n for n in around if n != t and exposures[n] == kind]) for kind in kinds[:2])
        return [int(one), t, int(other)]

    def boxes(self, count: int) -> list[Box]:
        """Rows and columns of random crops."""
        sides = [min(self.crop, length) for length in self.sequence.size]
        corners = self.rng.integers(
            [length - side + 1 for length, side in zip(self.sequence.size, sides, strict=True)], size=(count, 2)
        )
        height, width = sides
        return [
            (slice(int(row), int(row) + height), slice(int(column), int(column) + width)) for row, column in corners
        ]

    def windows(self, chosen: list[int], boxes: list[list[Box]]) -> list[FrameWindow]:
        """Windows of the middle one of the frames `chosen`, with the others as neighbours: for each list of boxes one,
        a batch of its crops."""
        t = chosen[len(chosen) // 2]
        others = chosen[: len(chosen) // 2] + chosen[len(chosen) // 2 + 1 :]
        frames = self.sequence.frames[chosen].float().movedim(-1, 1)
        forward = [self.flow.match(t, n) for n in others]
        planes = (
            frames,
            *(torch.cat(x) for x in zip(*forward, strict=True)),
            torch.cat([self.flow.match(n, t)[0] for n in others]),
        )
        self.flow.trim(FLOWS)

        def batch(pieces) -> FrameWindow:
            cut = (torch.stack([x[..., rows, columns] for rows, columns in pieces]).to(self.device) for x in planes)
            codes, flows, confidence, back = cut
            exposures = self.sequence.exposures[chosen].repeat(len(pieces), 1).to(self.device)
            return FrameWindow(codes, exposures, flows, confidence, back)

        return [batch(pieces) for pieces in boxes]
