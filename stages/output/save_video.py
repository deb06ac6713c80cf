"""Save HDR Video: scene-linear frames to one HDR video file with sound."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch

from ...hdr.delivery import HLG_PEAK, PQ_PEAK, REFERENCE_WHITE, LightLevel, hlg_signal, light_level, pq_encode, roll_off
from ...hdr.gamut import convert
from ...hdr.io.checked_path import printable
from ...hdr.io.hdr_video import FORMATS, TRANSFERS, VideoFormat, check_encoder, is_tagged, sound_rate, write_hdr_video
from ...hdr.io.sound import Samples, read_sound, resampled
from ...hdr.io.video_files import frame_rate
from ...hdr.sequence import ExposureSequence, gamut_of
from ...hdr.timecode import is_timecode, later
from ..runtime.check import chosen, hdr_frames, number, same_length, text, whole
from ..runtime.windows import Progress, passes, quiet, windows
from .save import clip_timecode, compositing_factor
from .versions import new_file

DEFAULT_FPS = Fraction(24)
TIMECODE_RATES = (24, 25, 30, 48, 50, 60)


@dataclass(frozen=True)
class VideoReport:
    """What was written. white: cd/m2 of radiance 1 of the frames that came in; source_peak: of the brightest channel before
    it was rolled off; level: of the clip as written; notes: what the user should know."""

    path: Path
    frames: int
    size: tuple[int, int]
    fps: Fraction
    white: float
    source_peak: float
    level: LightLevel
    notes: tuple[str, ...]

    def __str__(self) -> str:
        height, width = self.size
        level = f"MaxCLL {self.level.maximum:.0f}, MaxFALL {self.level.frame_average:.0f} cd/m2"
        return "\n".join(
            [
                f"{self.frames} frames, {width}x{height}, {float(self.fps):.6g} fps in {printable(self.path)}",
                f"radiance 1 is shown at {self.white:.4g} cd/m2; {level}",
                *self.notes,
            ]
        )


def save_video(
    frames,
    root,
    prefix: str = "HDRWeave/hdr",
    file_format: str = "HEVC 10 bit (mp4)",
    transfer: str = "PQ",
    reference_white: float = REFERENCE_WHITE,
    peak: float = 1000.0,
    exposure: float = 0.0,
    crf: int = 16,
    scale: str = "auto",
    fps=None,
    timecode: str = "",
    sequence: ExposureSequence | None = None,
    sound: Samples | None = None,
    progress: Progress = quiet,
) -> VideoReport:
    """Write scene-linear frames (T,H,W,3) to `root/prefix_vNNN.suffix`, in Rec.2020, PQ or HLG; NNN is the next free version.

    reference_white: cd/m2 of 1.0 on `scale` (see `save_sequence`), after `exposure` stops. peak: cd/m2 of the mastering display,
    to which brighter light is rolled off; HLG has 1000 at most. sequence: the clip that the frames came from, for scale,
    primaries, frame rate, and sound and timecode of its file. sound, timecode: in place of those. The clip is read for its light
    level first, twice where highlights are rolled off. Raises ValueError for bad arguments before any work, OSError when the file
    cannot be written; nothing is left of it then.
    """
    shape = hdr_frames(frames)
    chosen("format", file_format, FORMATS)
    chosen("transfer", transfer, TRANSFERS)
    number("reference_white", reference_white, 1, PQ_PEAK)
    number("peak", peak, 100, PQ_PEAK)
    number("exposure", exposure, -20, 20)
    crf = whole("crf", crf, 0, 51)
    if timecode and not is_timecode(text("timecode", timecode, 100)):
        raise ValueError(f"the timecode is {printable(timecode)!r}: write it as 01:00:00:00, hours to frames")
    same_length(frames, sequence)
    wanted, notes = check_encoder(file_format), []
    fps = frame_rate(fps or (sequence.fps if sequence is not None else DEFAULT_FPS))
    timecode = _countable(timecode or clip_timecode(sequence, fps, notes), fps, notes)
    white = reference_white * compositing_factor(scale, sequence) * 2.0**exposure
    height, width = _even_size(shape, wanted, file_format, notes)
    if not is_tagged(file_format):
        notes.append(
            f"this PyAV cannot tag ProRes: tell your editor Rec.2020 and {transfer}, or update PyAV (pip install -U av)"
        )
    if sound is None:
        sound = _own_sound(sequence, len(frames) / fps, notes)
    if sound is not None:
        sound = _encodable(sound, file_format, notes)
    source = gamut_of(sequence)
    peak = min(peak, HLG_PEAK) if transfer == "HLG" else peak

    def light(index: int) -> torch.Tensor:
        linear = frames[index][:height, :width].detach().float().cpu().nan_to_num(0, PQ_PEAK, 0)
        return (convert(linear, source, "Rec.2020") * white).clamp(0, 1e6)

    measuring, again, encoding = passes(progress, 1, 1, 1)
    level = _light_level(light, len(frames), measuring)
    source_peak = level.maximum
    if source_peak <= peak:
        encoding = passes(progress, 1, 2)[1]
    else:
        level = _light_level(lambda index: roll_off(light(index), source_peak, peak), len(frames), again)
        notes.append(f"highlights of up to {source_peak:.0f} cd/m2 are rolled off to {peak:g}")
    encode = {"PQ": pq_encode, "HLG": hlg_signal}[transfer]

    def signals() -> Iterator[torch.Tensor]:
        for (index,) in windows(len(frames), 1, encoding):
            yield encode(roll_off(light(index), source_peak, peak))

    with new_file(root, prefix, wanted.suffix) as (temporary, path):
        size = (len(frames), height, width)
        write_hdr_video(temporary, signals(), size, fps, file_format, transfer, level, peak, crf, sound, timecode)
    return VideoReport(path, len(frames), (height, width), fps, white, source_peak, level, tuple(notes))


def _countable(timecode: str, fps: Fraction, notes: list[str]) -> str:
    """The timecode as it counts frames at this rate, or none where it cannot."""
    if not timecode:
        return ""
    if round(fps) not in TIMECODE_RATES:
        notes.append(f"the timecode is left out: it counts {', '.join(map(str, TIMECODE_RATES))} frames a second")
        return ""
    if ";" in timecode and round(fps) % 30:
        timecode = timecode.replace(";", ":")
        notes.append(f"the timecode begins at {timecode}: it drops numbers at 29.97 and 59.94 frames a second only")
    nearest = later(timecode, 0, fps)
    if nearest != timecode:
        notes.append(f"the timecode begins at {nearest}: {timecode} does not exist at {float(fps):.6g} frames a second")
    return nearest


def _encodable(sound: Samples, file_format: str, notes: list[str]) -> Samples:
    """The sound at a rate that the format has."""
    rate = sound_rate(file_format, sound.rate)
    if rate == sound.rate:
        return sound
    notes.append(f"the sound is resampled from {sound.rate} to {rate} Hz, which {file_format} can hold")
    return resampled(sound, rate)


def _even_size(shape, encoder: VideoFormat, file_format: str, notes: list[str]) -> tuple[int, int]:
    """Height and width of the video of frames of `shape` (T,H,W,3): even where the format needs it."""
    height, width = (n - n % 2 if encoder.even else n for n in shape[1:3])
    if min(height, width) < encoder.least:
        raise ValueError(
            f"frames are {shape[2]}x{shape[1]}, {file_format} needs {encoder.least}x{encoder.least} or more: "
            "choose another format"
        )
    if (height, width) != tuple(shape[1:3]):
        notes.append(f"the last row or column of {shape[2]}x{shape[1]} is left out: 4:2:0 video has even sizes")
    return height, width


def _light_level(light, count: int, progress: Progress) -> LightLevel:
    """Light level of a clip of `count` frames; light: function of the index, gives a frame in cd/m2."""
    levels = []
    for (index,) in windows(count, 1, progress):
        levels.append(light_level(light(index)))
    return LightLevel(max(s.maximum for s in levels), max(s.frame_average for s in levels))


def _own_sound(sequence: ExposureSequence | None, seconds: Fraction, notes: list[str]) -> Samples | None:
    """The sound of the file that a clip was read from, where it lasts as long as the picture."""
    track = sequence.sound if sequence is not None else None
    if track is None:
        return None
    if not math.isclose(track.seconds, seconds, abs_tol=0.1 + 0.01 * track.seconds):
        notes.append(
            f"the clip's own sound of {track.seconds:.2f} s is left out, the picture lasts {float(seconds):.2f} s: "
            "connect audio of that length, or save at the clip's frame rate"
        )
        return None
    return read_sound(track)
