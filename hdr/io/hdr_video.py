"""HDR video files by PyAV: HEVC and AV1 in 10 bit, ProRes 4444, FFV1; tagged as Rec.2020 in PQ or HLG, with sound."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from ..delivery import LightLevel, ycbcr_codes
from .atomic import refused_by_disk
from .checked_path import printable
from .sound import Samples, audio_frame

REC2020, NCL, RGB, LIMITED, FULL = 9, 9, 0, 1, 2  # of ITU-T H.273: primaries, two matrices; FFmpeg's ranges
TRANSFERS = {"PQ": 16, "HLG": 18}
AAC_RATE = 160_000  # bits a second for each channel
NARROW = 64  # pixels; in narrower frames CU-tree of x265 writes beyond its memory, which ends the process
FEWEST_WITH_B_FRAMES = 4  # x265 gives packets of shorter clips random times
# Rec.2020's primaries and D65, in steps of 0.00002; luminances follow, in steps of 0.0001 cd/m2 (SMPTE ST 2086).
MASTERING = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L({peak:.0f},1)"
MASTERING_AV1 = "G(0.17,0.797)B(0.131,0.046)R(0.708,0.292)WP(0.3127,0.329)L({peak:g},0.0001)"


@dataclass(frozen=True)
class VideoFormat:
    """suffix: of the file. encoder, pixels, sound: FFmpeg's names of video encoder, pixel format and audio encoder."""

    suffix: str
    encoder: str
    pixels: str
    sound: str

    @property
    def even(self) -> bool:
        """Whether chroma is subsampled, so that width and height must be even."""
        return "420" in self.pixels

    @property
    def least(self) -> int:
        """The smallest width and height that the encoders accept."""
        return 16 if self.even else 1


FORMATS = {
    "HEVC 10 bit (mp4)": VideoFormat(".mp4", "libx265", "yuv420p10le", "aac"),
    "AV1 10 bit (mp4)": VideoFormat(".mp4", "libsvtav1", "yuv420p10le", "aac"),
    "ProRes 4444 (mov)": VideoFormat(".mov", "prores_ks", "yuv444p10le", "pcm_s24le"),
    "FFV1 16 bit (mkv)": VideoFormat(".mkv", "ffv1", "gbrp16le", "flac"),
}


def check_encoder(name: str) -> VideoFormat:
    """The row of `FORMATS`; raises ValueError where the installed PyAV has no encoder for it."""
    from av.codec import Codec
    from av.error import FFmpegError

    wanted, missing = FORMATS[name], []
    for encoder in (wanted.encoder, wanted.sound):
        try:
            Codec(encoder, "w")
        except (ValueError, FFmpegError):
            missing.append(encoder)
    if missing:
        raise ValueError(
            f"the installed PyAV has no encoder {' and '.join(missing)}, which {name} needs: choose another format, or install "
            "PyAV from its wheel (pip install av)"
        )
    return wanted


def sound_rate(name: str, rate: int) -> int:
    """The rate at which sound of `rate` can be encoded in this format: itself, or the next higher one, or the highest."""
    from av.codec import Codec

    known = Codec(FORMATS[name].sound, "w").audio_rates  # None: any
    if not known or rate in known:
        return rate
    return min((higher for higher in known if higher > rate), default=max(known))


def is_tagged(name: str) -> bool:
    """Whether the installed PyAV can tag files of this format: ProRes takes its tags from frames, where older ones have none."""
    import av

    return FORMATS[name].encoder != "prores_ks" or hasattr(av.VideoFrame, "color_primaries")


def write_hdr_video(
    path,
    signals: Iterable[torch.Tensor],
    shape: tuple[int, int, int],
    fps: Fraction,
    name: str,
    transfer: str,
    level: LightLevel,
    peak: float,
    crf: int = 16,
    sound: Samples | None = None,
    timecode: str = "",
) -> None:
    """Write R'G'B' signals (H,W,3) in [0,1], Rec.2020 in `transfer`, to `path`, which is no video yet.

    shape: (T,H,W), even where `FORMATS[name].even`. level, peak: light level of the clip and luminance of the mastering display,
    cd/m2, written into HEVC and AV1 in PQ. crf: quality of HEVC and AV1, lower is better. sound: is cut where the picture ends.
    timecode: of the first frame, HH:MM:SS:FF. Raises OSError where the encoder fails.
    """
    import av
    from av.error import FFmpegError

    chosen = check_encoder(name)
    muxing = {"write_tmcd": "1"} if timecode and chosen.suffix != ".mkv" else {}
    if chosen.suffix == ".mp4":
        muxing |= {"movflags": "faststart"}
    try:
        with av.open(
            str(path), "w", format={".mkv": "matroska"}.get(chosen.suffix, chosen.suffix[1:]), options=muxing
        ) as file:
            if timecode:
                file.metadata["timecode"] = timecode
            video = file.add_stream(
                chosen.encoder, rate=fps, options=_options(chosen, transfer, level, peak, crf, shape[2])
            )
            if shape[0] < FEWEST_WITH_B_FRAMES:
                video.codec_context.max_b_frames = 0
            video.height, video.width = shape[1:]
            video.pix_fmt = chosen.pixels
            _tag(video.codec_context, chosen, transfer)
            if chosen.encoder == "libx265":
                video.codec_context.codec_tag = "hvc1"  # what Apple's players ask for
            audio = _SoundEncoder(file, chosen.sound, sound) if sound is not None else None
            with scheduling_kept():
                file.start_encoding()
            for index, signal in enumerate(signals):
                frame = _frame(signal, chosen)
                _tag(frame, chosen, transfer)
                frame.pts, frame.time_base = index, 1 / fps
                file.mux(video.encode(frame))
                if audio is not None:
                    audio.until((index + 1) / fps)
            file.mux(video.encode(None))
            if audio is not None:
                audio.end()
    except FFmpegError as error:
        refused = refused_by_disk(path, error)
        if refused:
            raise refused from error
        raise OSError(f"the video cannot be encoded as {name} ({printable(error)}): choose another format") from error


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Context after which all threads of the process are scheduled as before, and new ones as the caller's.

    SVT-AV1, started by root as in most containers, makes the calling thread and its own ones real-time (SCHED_FIFO, priority
    99) for good: work on the CPU would then take all of it from the rest of the machine.
    """
    threads = Path("/proc/self/task")
    if not threads.is_dir():  # not Linux
        yield
        return

    def schedulers() -> dict[int, tuple[int, int]]:
        found = {}
        for thread in threads.iterdir():
            with suppress(ProcessLookupError):  # it has ended
                of = int(thread.name)
                found[of] = os.sched_getscheduler(of), os.sched_getparam(of).sched_priority
        return found

    before, own = schedulers(), (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)
    try:
        yield
    finally:
        for thread, now in schedulers().items():
            policy, priority = before.get(thread, own)
            if now != (policy, priority):
                with suppress(ProcessLookupError):
                    os.sched_setscheduler(thread, policy, os.sched_param(priority))


def _options(
    chosen: VideoFormat, transfer: str, level: LightLevel, peak: float, crf: int, width: int
) -> dict[str, str]:
    cll = f"{min(round(level.maximum), 65535)},{min(round(level.frame_average), 65535)}"
    if chosen.encoder == "libx265":
        name = {"PQ": "smpte2084", "HLG": "arib-std-b67"}[transfer]
        words = f"log-level=error:repeat-headers=1:colorprim=bt2020:transfer={name}:colormatrix=bt2020nc:range=limited"
        words += ":chromaloc=2"
        if width < NARROW:
            words += ":no-cutree=1"
        if transfer == "PQ":
            words += f":hdr10=1:master-display={MASTERING.format(peak=peak * 10_000)}:max-cll={cll}"
        return {"crf": str(crf), "preset": "medium", "x265-params": words}
    if chosen.encoder == "libsvtav1":
        words = "chroma-sample-position=topleft"
        if transfer == "PQ":
            words += f":mastering-display={MASTERING_AV1.format(peak=peak)}:content-light={cll}"
        return {"crf": str(crf), "preset": "6", "svtav1-params": words}
    if chosen.encoder == "prores_ks":
        return {"profile": "4444", "vendor": "apl0"}
    return {"level": "3", "slices": "4", "slicecrc": "1"}


def _tag(target, chosen: VideoFormat, transfer: str) -> None:
    """Colour tags of a codec context or of a frame: ProRes takes them from each frame."""
    rgb = chosen.pixels.startswith("gbr")
    tags = {"color_primaries": REC2020, "color_trc": TRANSFERS[transfer], "colorspace": RGB if rgb else NCL}
    for key, value in (tags | {"color_range": FULL if rgb else LIMITED}).items():
        if hasattr(target, key):  # frames of older PyAV have no primaries and transfer
            setattr(target, key, value)


def _frame(signal: torch.Tensor, chosen: VideoFormat):
    import av

    height, width = signal.shape[:2]
    frame = av.VideoFrame(width, height, chosen.pixels)
    if chosen.pixels.startswith("gbr"):
        planes = (signal.clamp(0, 1)[..., [1, 2, 0]] * 65535).round().int().unbind(-1)
    else:
        planes = ycbcr_codes(signal, 10, chosen.even)
    for plane, codes in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        rows[:, : plane.width] = codes.cpu().numpy()
        plane.update(rows.tobytes())
    return frame


class _SoundEncoder:
    """Encodes a sound track in step with the picture."""

    def __init__(self, file, encoder: str, sound: Samples):
        self.file, self.sound, self.done = file, sound, 0
        self.stream = file.add_stream(encoder, rate=sound.rate, layout=sound.layout)
        if encoder == "aac":
            self.stream.bit_rate = AAC_RATE * len(sound.waveform)

    def until(self, seconds) -> None:
        """Encode what belongs before a time."""
        end = min(int(seconds * self.sound.rate), self.sound.waveform.shape[1])
        if end <= self.done:
            return
        frame = audio_frame(self.sound, self.done, end)
        self.file.mux(self.stream.encode(frame))
        self.done = end

    def end(self) -> None:
        self.file.mux(self.stream.encode(None))
