"""Sound of a clip: samples in memory, and those of a video file."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .checked_path import printable

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True)
class Samples:
    """waveform: float32 (channels, samples) in [-1,1], of 1, 2, 6 or 8 channels; rate: samples a second."""

    waveform: np.ndarray
    rate: int

    @property
    def layout(self) -> str:
        return LAYOUTS[len(self.waveform)]


@dataclass(frozen=True)
class SoundTrack:
    """The part of a video's sound that belongs to a clip. source: path or binary stream; begin, seconds: start and length."""

    source: object
    begin: float
    seconds: float


def samples(waveform, rate) -> Samples:
    """Samples (channels, samples) as they can be written: of other channel counts than those of `LAYOUTS` the first two are kept.
    Raises ValueError for what is no sound."""
    waveform = np.asarray(waveform, np.float32)
    if waveform.ndim != 2 or not len(waveform) or not 1000 <= rate <= 768_000:
        raise ValueError(f"the sound has shape {waveform.shape} at {rate} Hz: (channels, samples) are expected")
    kept = waveform if len(waveform) in LAYOUTS else waveform[:2]
    return Samples(np.nan_to_num(kept).clip(-1, 1), int(rate))


def audio_frame(sound: Samples, begin: int, end: int):
    """A part of the sound, from sample `begin` to `end`, as a frame of PyAV."""
    import av

    frame = av.AudioFrame(format="fltp", layout=sound.layout, samples=end - begin)
    # Not strict: PyAV counts nine planes for eight channels.
    for plane, channel in zip(frame.planes, sound.waveform, strict=False):
        plane.update(channel[begin:end].tobytes())
    frame.sample_rate, frame.pts, frame.time_base = sound.rate, begin, Fraction(1, sound.rate)
    return frame


def resampled(sound: Samples, rate: int) -> Samples:
    """The sound at another rate, by FFmpeg's resampler."""
    import av

    nothing = np.zeros((len(sound.waveform), 0), np.float32)
    if not sound.waveform.size:
        return Samples(nothing, rate)
    resampler, whole = av.AudioResampler("fltp", sound.layout, rate), audio_frame(sound, 0, sound.waveform.shape[1])
    parts = [_waveform(part) for part in (*resampler.resample(whole), *resampler.resample(None))]
    return Samples(np.concatenate([nothing, *parts], 1).clip(-1, 1), rate)


def read_sound(track: SoundTrack) -> Samples | None:
    """The sound of a part of a video, None where the file has none. Raises OSError where it is damaged."""
    import av
    from av.error import FFmpegError

    from .video_files import opened

    with opened(track.source) as container:
        stream = next((s for s in container.streams.audio if s.codec_context is not None), None)
        if stream is None:
            return None
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        first, last = round(track.begin * rate), round((track.begin + track.seconds) * rate)
        layout = LAYOUTS.get(channels, "stereo")
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        parts, place = [], None
        try:
            for decoded in container.decode(stream):
                if place is None:
                    place = round(float(decoded.time or 0) * rate)
                    parts.append(np.zeros((len(_planes(layout)), max(place - first, 0)), np.float32))
                for frame in resampler.resample(decoded):
                    chunk = _waveform(frame)
                    parts.append(chunk[:, max(first - place, 0) : max(last - place, 0)])
                    place += chunk.shape[1]
                if place >= last:
                    break
        except (FFmpegError, UnicodeError) as error:
            raise OSError(
                f"the sound of the clip is damaged ({printable(error)}): connect audio, or export it again"
            ) from error
    if place is None:
        return None
    return samples(np.concatenate(parts, axis=1), rate)


def _waveform(frame) -> np.ndarray:
    """Samples (channels, samples) of a planar frame of float32. PyAV's `to_ndarray` fails for eight channels, of which it counts
    nine planes."""
    planes = zip(frame.planes, frame.layout.channels, strict=False)
    return np.stack([np.frombuffer(plane, np.float32, frame.samples) for plane, _ in planes])


def _planes(layout: str) -> range:
    return range(next(count for count, name in LAYOUTS.items() if name == layout))
