"""Types of the data between stages (and on the wires between nodes): exposure sequences, flow fields and candidate
sets.

A *frame source* is anything that is sliced along time like a tensor: `source[a:b]` is float32 (b-a,H,W,C) and
`source[t]` is (H,W,C). It is a tensor, or a `LazyFrames`, which computes a slice on access: what can be recomputed
cheaply is not stored, so that memory does not grow with the length of a clip.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from numbers import Integral

import torch
import torch.nn.functional as F

from .device import to_device
from .exposure import index_within
from .io.sound import SoundTrack
from .noise_level import NoiseLevels
from .response import ResponseCurve
from .survey import Survey


class LazyFrames:
    """A frame source whose frames are computed on access, sliced like a tensor of `shape`.

    read: takes a list of frame indices, returns float32 (len(indices), *shape[1:]).
    """

    dtype = torch.float32

    def __init__(self, shape, read: Callable[[list[int]], torch.Tensor]):
        self.shape = torch.Size(shape)
        self._read = read

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key) -> torch.Tensor:
        if isinstance(key, slice):
            return self._read(list(range(*key.indices(len(self)))))
        if isinstance(key, Integral):
            return self._read([range(len(self))[key]])[0]
        every = range(len(self))
        return self._read([every[int(i)] for i in key])


@dataclass(frozen=True)
class Origin:
    """Where the frames of a clip come from. path: file or image sequence; empty = frames in memory. start: first frame of it
    that was read. frames: all frames that were read, as captured. kept: indices of those that are the clip, None = all. times:
    presentation times of a video's frames, from its beginning to the last that was read, in its time base; empty = no video, or
    times that do not rise."""

    path: str
    start: int
    frames: torch.Tensor | LazyFrames
    kept: tuple[int, ...] | None = None
    times: tuple[int, ...] = ()


@dataclass(frozen=True)
class ExposureSequence:
    """A captured clip of alternating exposures.

    frames: frame source (T,H,W,3), float32 code values in [0,1]. exposures: (T,) float32, relative, shortest = 1; one
    for every frame, so that they stay right where frames were dropped. period: of the exposure pattern, in frames.
    response: code value to linear light. warnings: sentences for the user about the clip. white_level: code value of each
    channel in the file at which the sensor clips; `frames` are already divided by it. measured: whether the exposures were
    measured from the pixels and not declared. gains (T,): factor on the light of each frame beside its exposure, such as lamp
    flicker; `frames` are already divided by it; None = all 1. noise: of every exposure, None = not measured yet
    (`stages.clip.noise`). gamut: the primaries of its RGB, a name in `hdr.gamut.GAMUTS`; radiance made from the clip has the
    same. sound: of the video file that it was read from, if any; timecode: of its first frame there, "" = none. origin: None =
    unknown. moves (T,3,3): transforms by which frames were stabilised, None = as captured. survey: estimates of the whole clip,
    which stages use in place of their own; None = each stage estimates. first: frame of the surveyed clip at which this part
    of it begins. darks_matched: frames have been through `match_black_level`.
    """

    frames: torch.Tensor | LazyFrames
    exposures: torch.Tensor
    response: ResponseCurve
    period: int
    fps: Fraction = Fraction(24)
    source: str = ""
    warnings: tuple[str, ...] = ()
    white_level: tuple[float, float, float] = (1.0, 1.0, 1.0)
    measured: bool = False
    gains: torch.Tensor | None = None
    noise: NoiseLevels | None = None
    gamut: str = "Rec.709"
    sound: SoundTrack | None = None
    timecode: str = ""
    origin: Origin | None = None
    moves: torch.Tensor | None = None
    survey: Survey | None = None
    first: int = 0
    darks_matched: bool = False

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.frames.shape[1:3]
        return height, width

    @property
    def levels(self) -> torch.Tensor:
        """The different exposures of the clip, rising, float32; for a part of a surveyed clip, those of the whole."""
        known = self.exposures if self.survey is None else torch.tensor(self.survey.exposures)
        return torch.unique(known.float())

    @property
    def offsets(self) -> tuple[int, ...]:
        """Offsets of neighbours that cover all other exposures on both sides: (-1, 1) for two, (-2 … 2) for three."""
        reach = max(self.period - 1, 1)
        return tuple(o for o in range(-reach, reach + 1) if o)

    def neighbour(self, index: int, offset: int) -> int:
        """Index of the frame `offset` away; beyond the clip's ends, of one within it with the same exposure phase."""
        return index_within(index + offset, len(self), min(self.period, len(self)))

    def radiance(self, indices) -> torch.Tensor:
        """Scene-linear radiance of the frames `indices`: (n,H,W,3), frame k in [0, 1/exposures[k]]."""
        indices = list(indices)
        linear = self.response.decode(self.frames[indices])
        return linear / self.exposures[indices].to(linear)[:, None, None, None]

    def with_(self, **changes) -> "ExposureSequence":
        """A copy with some fields replaced."""
        return replace(self, **changes)


def gamut_of(sequence: ExposureSequence | None) -> str:
    """Primaries of the frames of a clip, and of what is made from it; Rec.709 where the clip is not known."""
    return sequence.gamut if sequence is not None else "Rec.709"


@dataclass(frozen=True)
class FlowField:
    """Backward optical flow from every reference frame to its neighbours, with its confidence.

    flow[offset]: (T,2,h,w), channel 0 = x, in pixels of the full-size frame, on a grid that may be coarser than `size`
    (half precision is exact to 1/16 pixel up to 128 pixels). confidence[offset]: (T,1,h,w) in [0,1], on the same grid or another.
    period_flow[+-period]: (T,2,h,w), plain flow between frames of one exposure, in pixels of its own grid; 0 where the clip
    has no such frame. clip_exposures (T,): of the frames of the clip that it belongs to; None = not known.
    """

    size: tuple[int, int]
    flow: dict[int, torch.Tensor]
    confidence: dict[int, torch.Tensor]
    period_flow: dict[int, torch.Tensor] = field(default_factory=dict)
    clip_exposures: torch.Tensor | None = None

    @property
    def offsets(self) -> tuple[int, ...]:
        return tuple(self.flow)

    def __len__(self) -> int:
        return len(next(iter(self.flow.values())))

    def read(self, offset: int, indices, device: torch.device | str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (n,2,H,W) in pixels and confidence (n,1,H,W) of the frames `indices`, float32 at full size, on a device."""
        indices = list(indices)

        def full_size(stored: torch.Tensor) -> torch.Tensor:
            return F.interpolate(to_device(stored, device).float(), self.size, mode="bilinear", align_corners=False)

        flow, sure = self.flow[offset][indices], self.confidence[offset][indices]
        if flow.shape[-2:] != sure.shape[-2:]:  # adapted flow: on a finer grid than its confidence
            return full_size(flow), full_size(sure)
        found = full_size(torch.cat((flow, sure), 1))  # in one transfer
        return found[:, :2], found[:, 2:]

    def plain(self, a: int, b: int, device: torch.device | str = "cpu") -> torch.Tensor | None:
        """`period_flow` (1,2,h,w) from frame a to frame b, float32 on a device; None where it does not hold that."""
        return to_device(self.period_flow[b - a][[a]], device).float() if b - a in self.period_flow else None

    def forget(self, before: int) -> None:
        """Does nothing, as all flow is stored. `LiveFlow` drops frames here."""


@dataclass(frozen=True)
class Candidate:
    """One HDR estimate of every frame of a clip.

    radiance: frame source (T,H,W,3), scene-linear. validity: frame source (T,H,W,1) in [0,1], geometric: inside the
    frame and not occluded. exposures: (T,) of the frames that it was captured in, from which a merge knows clipping and
    noise; None where the estimate belongs to no exposure. clip_exposures: (T,) of the frames that it is an estimate of;
    None = not known.
    """

    name: str
    radiance: torch.Tensor | LazyFrames
    validity: torch.Tensor | LazyFrames
    exposures: torch.Tensor | None = None
    clip_exposures: torch.Tensor | None = None


@dataclass(frozen=True)
class CandidateSet:
    """Any number of candidates for the same frames, with unique names."""

    candidates: tuple[Candidate, ...] = field(default_factory=tuple)

    def __len__(self) -> int:
        return len(self.candidates)

    def __iter__(self):
        return iter(self.candidates)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.candidates)
