"""A clip as captured: frames and what their source says of them, before anything is known about their exposures."""

from dataclasses import dataclass, replace
from fractions import Fraction

import torch

from ...hdr.io.sound import SoundTrack
from ...hdr.io.video_files import frame_rate
from ...hdr.response import ON_FULL_CODE
from ...hdr.sequence import LazyFrames, Origin
from ..runtime.check import whole
from ..runtime.windows import Progress, quiet, windows

DEFAULT_FPS = Fraction(24)  # of sources that carry no frame rate
WINDOW = 8
CODE_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.uint16)


@dataclass(frozen=True)
class Clip:
    """Frames as captured, (T,H,W,3) in [0,1], before anything is known about their exposures.

    places: of the frames in the pattern's time, where files are missing; None = one after another. stated: exposure of each
    frame as its file states it, in any unit; None where they state none. order: of each frame's exposure by the words in the
    file names, 0 = shortest. linear: the kind of file that holds linear light as a rule ("float", "raw"), else "". transfer:
    transfer function that the file is tagged with (linear, PQ, HLG), else "". full_code: frames hold shares of the largest code,
    black of limited range at `full_code[0]` and white at `full_code[1]`; None = black is 0. superwhite: signal at which they
    clip, white = 1. gamut: the primaries that the file is tagged with, a name in `hdr.gamut.GAMUTS`; "" = none of them. sound: of
    the video file, if it has any; timecode: of its first frame.
    path, start, times: see `hdr.sequence.Origin`; path None = of several streams.
    """

    frames: torch.Tensor | LazyFrames
    fps: Fraction
    source: str
    warnings: tuple[str, ...] = ()
    linear: str = ""
    places: tuple[int, ...] | None = None
    stated: tuple[float, ...] | None = None
    order: tuple[int, ...] | None = None
    transfer: str = ""
    full_code: tuple[float, float] | None = None
    superwhite: float = 1.0
    gamut: str = ""
    sound: SoundTrack | None = None
    timecode: str = ""
    path: str | None = None
    start: int = 0
    times: tuple[int, ...] = ()

    @property
    def origin(self) -> Origin | None:
        return None if self.path is None else Origin(self.path, self.start, self.frames, times=self.times)


def image_clip(
    images, start: int = 0, count: int = 0, fps=None, source: str = "images", progress: Progress = quiet
) -> Clip:
    """Images (T,H,W,C), floats in [0,1] or uint8 / uint16, as a clip; a gray channel is spread, an alpha channel dropped.

    They are converted when they are read: a clip of bytes stays one.
    """
    check_range(start, count, fps)
    shape = tuple(getattr(images, "shape", ()))
    if not isinstance(images, torch.Tensor) and not isinstance(images, LazyFrames):
        raise ValueError(f"the {source} are {type(images).__name__}, a tensor of images is expected")
    if len(shape) != 4 or shape[-1] not in (1, 3, 4) or 0 in shape[1:3]:
        raise ValueError(f"the {source} have shape {shape}: (frames, height, width, 1, 3 or 4) is expected")
    if isinstance(images, torch.Tensor) and (images.layout is not torch.strided or images.is_meta):
        raise ValueError(f"the {source} are a tensor without plain data: give one that is dense and on a device")
    if images.dtype not in CODE_TYPES:
        raise ValueError(f"the {source} are {images.dtype}: floats in [0,1], uint8 or uint16 are expected")
    if isinstance(images, torch.Tensor):
        images = images.detach()
    part = images[start : start + count if count else None]
    if not len(part):
        raise ValueError(f"the {source} are {len(images)} frames, none is left from frame {start} on: lower start")
    channels = [0, 0, 0] if images.shape[-1] == 1 else [0, 1, 2]
    frames = LazyFrames((*part.shape[:3], 3), lambda indices: _code_values(part[indices][..., channels]))
    check_values(frames, source, progress)
    warnings = (f"{source}: the alpha channel was dropped",) if images.shape[-1] == 4 else ()
    return Clip(frames, frame_rate(fps or DEFAULT_FPS), source, warnings, path="", start=start)


def _code_values(images: torch.Tensor) -> torch.Tensor:
    """Float32 on the CPU; unsigned integers are divided by their maximum."""
    top = {torch.uint8: 255, torch.uint16: 65535}.get(images.dtype, 1)
    return images.to("cpu", torch.float32) / top


def on_range_of(clip: Clip, response: str) -> torch.Tensor | LazyFrames:
    """The frames of a clip on the codes that a response is defined on: from black to white, or all codes of the file."""
    if clip.full_code is None or response in ON_FULL_CODE:
        return clip.frames
    black, white = clip.full_code
    scale = (white - black) * clip.superwhite
    return LazyFrames(clip.frames.shape, lambda i: ((clip.frames[i] - black) / scale).clamp(0, 1))


def interleave(clips: list[Clip], response: str = "gamma2.2") -> Clip:
    """Parallel streams, whose frames k were taken at the same time, as one clip: k of the first, k of the second, …

    The clip has as many frames as all streams together, and its frame rate is theirs times their number. Its primaries, transfer
    function and sound are those of the first stream. All streams are brought to the codes that `response` is defined on; codes
    above white are cut, as not every stream has them.
    """
    sizes = {tuple(clip.frames.shape[:3]) for clip in clips}
    if len(sizes) > 1:
        found = ", ".join(f"{len(c.frames)} frames {c.frames.shape[2]}x{c.frames.shape[1]}" for c in clips)
        raise ValueError(f"the parallel streams differ ({found}): give streams of one length and size")
    n = len(clips)
    (count, height, width) = next(iter(sizes))
    streams = [on_range_of(replace(clip, superwhite=1.0), response) for clip in clips]
    frames = LazyFrames(
        (n * count, height, width, 3),
        lambda indices: (
            torch.stack([streams[i % n][i // n] for i in indices]) if indices else torch.empty(0, height, width, 3)
        ),
    )
    names = " + ".join(clip.source for clip in clips)
    warnings = tuple(warning for clip in clips for warning in clip.warnings)
    first, linear = clips[0], "float" if any(clip.linear for clip in clips) else ""
    tags = {"transfer": first.transfer, "gamut": first.gamut, "sound": first.sound}
    return Clip(frames, first.fps * n, names, warnings, linear, **tags)


def check_range(start, count, fps) -> None:
    """Raises ValueError for a part of a clip, or a frame rate, that cannot be: negative, NaN, no number."""
    whole("start", start, 0)
    whole("count", count, 0)
    if fps is not None and fps != 0:
        frame_rate(fps)


def check_values(frames, name: str, progress: Progress) -> None:
    """Float frames must hold numbers up to 1, the level where the sensor clips."""
    bad, peak = [], 0.0
    for indices in windows(len(frames), WINDOW, progress):
        part = frames[indices].flatten(1)
        finite = part.isfinite()
        bad += [i for i, good in zip(indices, finite.all(1).tolist(), strict=True) if not good]
        peak = max(peak, part.where(finite, 0).max().item())
    if bad:
        raise ValueError(
            f"{name}: {len(bad)} frames hold NaN or infinity, the first is frame {bad[0]}: repair the source"
        )
    if peak > 1.001:
        raise ValueError(
            f"{name} reaches {peak:.4g}, captured frames lie in [0,1] with 1 where the sensor clips: "
            f"divide them by their clipping level first"
        )
