"""Surveys: made from a whole clip once, and used in place of estimates when the clip, or a part of it, is read again."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from zlib import crc32

import torch

from ..hdr.io.checked_path import printable, regular_file
from ..hdr.io.image_sequence import find_frames, is_sequence_path
from ..hdr.io.video_files import frame_rate
from ..hdr.noise_level import NoiseLevels
from ..hdr.sequence import ExposureSequence, LazyFrames, Origin
from ..hdr.survey import Row, Survey
from ..hdr.version import VERSION
from .clip.black_level import black_level_curves, match_black_level
from .clip.captured import Clip, check_range, image_clip, on_range_of
from .clip.frame_gains import without_gains
from .clip.noise import measure_noise
from .clip.normalize import normalize
from .clip.read import read_clip
from .clip.white_level import scaled_to_white
from .runtime.windows import Progress, passes, quiet, windows
from .systems.backbone import backbone_exposure

SAMPLES, SAMPLE = 16, 1 << 16  # places of a source from which its mark is computed, and bytes read at each


def take_survey(sequence: ExposureSequence, progress: Progress = quiet) -> Survey:
    """The survey of a whole clip from the loader or from Global Alignment, not normalized.

    The estimates of the loader are used; black level and noise are measured on some frames. Raises ValueError for a clip of
    several sources, for a normalized one, and for one whose pattern is not known.
    """
    if sequence.survey is not None and sequence.first == 0 and len(sequence) == len(sequence.survey):
        return replace(sequence.survey, moves=_rows_of(sequence.moves) or sequence.survey.moves)
    origin = sequence.origin
    if origin is None:
        raise ValueError(
            "a survey is of one file, image sequence or batch of images, as it was captured: wire the clip from its loader, "
            "Detect Exposure Pattern or Global Alignment"
        )
    if sequence.period < 2:
        raise ValueError("the clip has one exposure only: give its exposure pattern, or let it be detected")
    clip = normalize(sequence)
    kept = origin.kept or tuple(range(len(origin.frames)))
    span = kept[-1] + 1 - kept[0]
    times = origin.times[: origin.start + kept[-1] + 1]
    first, second, third = passes(progress, 1, 2 if times else 0, 1)
    curves = black_level_curves(clip, first)
    black = tuple(tuple(map(tuple, curve.tolist())) for curve in curves)
    survey = Survey(
        pack=VERSION,
        path=origin.path,
        mark=mark_of(origin),
        size=sequence.size,
        start=origin.start + kept[0],
        frames=span,
        left_out=tuple(sorted({*range(span)} - {k - kept[0] for k in kept})),
        fps=str(sequence.fps),
        period=sequence.period,
        exposures=tuple(clip.exposures.tolist()),
        measured=sequence.measured,
        response=sequence.response.recipe,
        white_level=sequence.white_level,
        gamut=sequence.gamut,
        gains=None if sequence.gains is None else tuple(sequence.gains.tolist()),
        black_level=black,
        noise=None,
        step=0.0,
        moves=_rows_of(sequence.moves),
        backbone=backbone_exposure(clip),
        warnings=sequence.warnings,
        timecode=sequence.timecode,
        times=times,
        sums=checksums(origin.frames, range(kept[0], kept[-1] + 1), second) if times else (),
    )
    matched = match_black_level(clip.with_(survey=survey)).with_(survey=None)
    return replace(survey, **_noise_of(measure_noise(matched, third)))


def _rows_of(moves: torch.Tensor | None) -> tuple[Row, ...] | None:
    if moves is None:
        return None
    columns = (moves[:, 0, 0], moves[:, 1, 0], moves[:, 0, 2], moves[:, 1, 2])
    return tuple(map(tuple, torch.stack(columns, 1).tolist()))


def _noise_of(levels: NoiseLevels | None) -> dict:
    if levels is None or not torch.isfinite(levels.levels).all():
        return {"noise": None, "step": 0.0}
    rows = torch.cat((levels.exposures[:, None], levels.levels), 1)
    return {"noise": tuple(map(tuple, rows.tolist())), "step": float(levels.step)}


def load_surveyed(
    survey: Survey, path="", first: int = 0, count: int = 0, progress: Progress = quiet
) -> ExposureSequence:
    """`count` frames of a surveyed clip from frame `first` on, 0 = to its end, with the estimates of the survey.

    path: where the clip lies now, empty = where it was surveyed. Raises ValueError when another clip lies there, or the part
    is not in the clip; otherwise as `read_clip`.
    """
    path = str(path) or survey.path
    if not path:
        raise ValueError("the survey is of frames in memory: give them, a survey cannot read them again")
    chosen = _chosen(survey, first, count)
    _same(source_mark(path), survey, Path(path).name)
    span = chosen[-1] + 1 - chosen[0]
    clip = _read(survey, path, chosen[0], span, progress)
    if len(clip.frames) < span:
        raise ValueError(f"{clip.source} ends before frame {chosen[-1]}, which was surveyed: copy it again")
    return with_survey(clip, survey, [k - chosen[0] for k in chosen], first)


def _read(survey: Survey, path: str, start: int, count: int, progress: Progress) -> Clip:
    """Frames start … of the source, of a video from a keyframe on where that gives the frames that were surveyed."""
    read = partial(read_clip, path, start, count, holes=True, response=survey.response["name"])
    if survey.times and start:
        with suppress(OSError, ValueError):
            reading, comparing = passes(progress, 4, 1)
            clip, begin = read(progress=reading, times=survey.times), start - survey.start
            if checksums(clip.frames, range(count), comparing) == survey.sums[begin : begin + count]:
                return clip
    return read(progress=progress)


def checksums(frames, indices: Sequence[int], progress: Progress = quiet) -> tuple[int, ...]:
    """CRC-32 of each of some frames (H,W,3) as float32."""
    return tuple(crc32(frames[indices[k]].numpy()) for (k,) in windows(len(indices), 1, progress))


def part_of_source(
    survey: Survey, path: str, images, start: int = 0, count: int = 0, fps=None, progress: Progress = quiet
) -> ExposureSequence:
    """The frames of a surveyed clip that are among `count` frames of its source from `start` on; 0, 0 = all.

    path: of the source, empty = where it was surveyed; images (T,H,W,C): in its place, all of them. fps: in place of the
    survey's.
    """
    check_range(start, count, fps)
    if images is not None:
        if path or start or count:
            raise ValueError("a survey of images needs all of them: leave path, start and count empty")
        sequence = images_surveyed(image_clip(images, progress=progress), survey)
    else:
        part = [k for k, t in enumerate(survey.kept) if t >= start and (not count or t < start + count)]
        if not part:
            raise ValueError(
                f"the survey has frames {survey.kept[0]} to {survey.kept[-1]} of the source, none is left from frame {start} on: "
                "lower start"
            )
        sequence = load_surveyed(survey, path, part[0], len(part), progress)
    return sequence.with_(fps=frame_rate(fps)) if fps else sequence


def images_surveyed(clip: Clip, survey: Survey) -> ExposureSequence:
    """A clip in memory, all of it, with its survey. Raises ValueError when it is another one."""
    if len(clip.frames) != survey.frames or clip.frames.shape[1:3] != survey.size:
        height, width = survey.size
        raise ValueError(
            f"the {clip.source} are {len(clip.frames)} frames {clip.frames.shape[2]}x{clip.frames.shape[1]}, the survey is of "
            f"{survey.frames} of {width}x{height}: give the whole clip that was surveyed"
        )
    if survey.path == "":
        _same(pixel_mark(clip.frames), survey, clip.source)
    return with_survey(clip, survey, [k - survey.start for k in survey.kept], 0)


def _chosen(survey: Survey, first: int, count: int) -> list[int]:
    chosen = survey.kept[first : first + count if count else None]
    if first < 0 or not chosen or (count and len(chosen) < count):
        raise ValueError(
            f"frames {first} to {first + max(count, 1) - 1} are asked for, the survey has 0 to {len(survey) - 1}: "
            "choose some of them"
        )
    return chosen


def _same(mark: str, survey: Survey, name: str) -> None:
    if mark != survey.mark:
        raise ValueError(f"the survey is of another clip than {printable(name)}, or that has changed: survey it again")


def with_survey(clip: Clip, survey: Survey, kept: list[int], first: int) -> ExposureSequence:
    """The frames `kept` of a captured clip, which are frames `first` … of the surveyed one, with the estimates of the survey."""
    if tuple(clip.frames.shape[1:3]) != tuple(survey.size):
        raise ValueError(
            f"the frames of {clip.source} are {clip.frames.shape[2]}x{clip.frames.shape[1]}, surveyed were "
            f"{survey.size[1]}x{survey.size[0]}: survey the clip again"
        )
    part = slice(first, first + len(kept))
    frames = on_range_of(clip, survey.response["name"])
    if kept != list(range(len(clip.frames))):
        whole = frames
        frames = LazyFrames((len(kept), *whole.shape[1:]), lambda wanted: whole[[kept[i] for i in wanted]].float())
    if min(survey.white_level) < 1:
        frames = scaled_to_white(frames, survey.white_level)
    sequence = ExposureSequence(
        frames,
        torch.tensor(survey.exposures[part], dtype=torch.float32),
        survey.curve,
        survey.period,
        Fraction(survey.fps),
        clip.source,
        survey.warnings,
        survey.white_level,
        survey.measured,
        noise=survey.noise_levels,
        gamut=survey.gamut,
        sound=clip.sound,
        timecode=clip.timecode,
        origin=Origin(survey.path, clip.start, clip.frames, tuple(kept)),
    )
    if survey.gains is not None:
        sequence = without_gains(sequence, torch.tensor(survey.gains[part], dtype=torch.float32))
    return sequence.with_(survey=survey, first=first)


def mark_of(origin: Origin) -> str:
    return source_mark(origin.path) if origin.path else pixel_mark(origin.frames)


def source_mark(path) -> str:
    """Hash of a video file or image sequence, from the number and sizes of its files and from the content of SAMPLES of them
    (or of as many places of a single file). It does not depend on where the files are."""
    path = Path(path).expanduser()
    files = [f.path for f in find_frames(path, holes=True)] if is_sequence_path(path) else [regular_file(path)]
    sizes = [file.stat().st_size for file in files]
    digest = hashlib.sha256(repr(sizes).encode())
    if len(files) == 1:
        places = [(files[0], k * max(sizes[0] - SAMPLE, 0) // (SAMPLES - 1)) for k in range(SAMPLES)]
    else:
        chosen = sorted({k * (len(files) - 1) // (SAMPLES - 1) for k in range(SAMPLES)})
        places = [(files[k], max(sizes[k] - SAMPLE, 0) // 2) for k in chosen]
    for file, place in places:
        with open(file, "rb") as stream:
            stream.seek(place)
            digest.update(stream.read(SAMPLE))
    return digest.hexdigest()


def pixel_mark(frames) -> str:
    """Hash of frames in memory (T,H,W,3) in [0,1], from SAMPLES of them, rounded to 16 bits."""
    digest = hashlib.sha256(repr(tuple(frames.shape)).encode())
    for t in sorted({k * (len(frames) - 1) // (SAMPLES - 1) for k in range(SAMPLES)}):
        digest.update((frames[t] * 65535).round().to(torch.int32).numpy().tobytes())
    return digest.hexdigest()


def describe_survey(survey: Survey) -> str:
    """The content of a survey in a few lines of text."""
    cycle = ", ".join(f"{e:.4g}" for e in survey.exposures[: survey.period])
    black = sum(any(any(row[1:]) for row in rows) for rows in survey.black_level)
    lines = [
        f"{len(survey)} frames {survey.size[1]}x{survey.size[0]}",
        f"period {survey.period}, relative exposures {cycle}, frame 0 is number {survey.phase + 1} from the shortest",
        f"response {survey.response['name']}, white level {', '.join(f'{w:.4g}' for w in survey.white_level)}",
        f"black level corrected in {black} of {len(survey.black_level)} exposures, noise "
        + ("unknown" if survey.noise is None else f"measured in {len(survey.noise)}"),
    ]
    if survey.gains is not None:
        lines.append("lamp flicker corrected")
    if survey.moves is not None:
        lines.append("steadied by Global Alignment")
    return "\n".join([*lines, *(f"Warning: {warning}" for warning in survey.warnings)])
