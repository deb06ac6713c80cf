"""Frames that break the pattern of a clip: an exposure of their own, exposures of each part where they change."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ...hdr.exposure_ratio import ExposurePairs, collect_pairs, measure_ratio
from ...hdr.sequence import ExposureSequence
from ..runtime.windows import Progress, quiet
from .aligned_proxies import AlignedProxies
from .detection import LONGEST, listed
from .frame_gains import CHANGE, FrameGains, frame_gains, without_flicker
from .statistics import ClipStatistics, clip_statistics

BLANK = 0.98  # share of clipped, or of nearly black, pixels of a frame that holds no picture
PICTURE = 0.5  # the same share, up to which a frame holds one
WHOLE = 0.085  # stops (6 %): a measured step this close to a whole stop is taken to be that


@dataclass(frozen=True)
class Frames:
    """Frames of a clip whose exposures are compared. kept: indices of those that are no repeats. phases, part (T,): phase, and
    part of the clip between changes of exposure. outliers: frames that fit no exposure."""

    clip: ClipStatistics
    response: object
    kept: np.ndarray
    phases: np.ndarray
    period: int
    part: np.ndarray
    outliers: tuple[int, ...] = ()

    def steps(self, order, part: int) -> list[ExposurePairs]:
        """Points that neighbouring exposures both see well in a part of the clip, darkest first; order: phases by exposure."""
        return [self._pairs(int(a), int(b), part) for a, b in zip(order[:-1], order[1:], strict=True)]

    def _pairs(self, dark: int, bright: int, part: int) -> ExposurePairs:
        """Points compared along flow between frames that a first comparison, of frames as they lie, has matched."""
        triples = self._triples(dark, bright, part)
        still = collect_pairs(self.clip.proxies, triples, self.period, self.response)
        stops, _, _ = measure_ratio(still, self.response)
        if not math.isfinite(stops):
            return still
        seen = AlignedProxies(self.clip.proxies, self.response, stops)
        return collect_pairs(self.clip.proxies, triples, self.period, self.response, seen)

    def _triples(self, dark: int, bright: int, part: int) -> list:
        """(t, after, before): frames of phase `dark` and those of phase `bright` around them, in unbroken stretches; without
        outliers, if that leaves any."""
        kept, phases = self.kept, self.phases[self.kept]
        offset = (bright - dark) % self.period
        run = np.concatenate([[0], np.cumsum(np.diff(phases) % self.period != 1 % self.period)])
        inside = self.part[kept] == part
        triples = []
        for n in np.flatnonzero((phases == dark) & inside):
            around = []
            for m in (n + offset, n + offset - self.period):
                usable = 0 <= m < len(kept) and run[m] == run[n] and inside[m] and int(kept[m]) in self.clip.proxies
                around.append(int(kept[m]) if usable else None)
            if int(kept[n]) in self.clip.proxies and any(a is not None for a in around):
                triples.append((int(kept[n]), *around))
        triples = [x for x in triples if x[1] is not None and x[2] is not None] or triples
        return [x for x in triples if not set(x) & set(self.outliers)] or triples

    def own_stops(self, t: int, stops: np.ndarray, known: np.ndarray, guess: float) -> float:
        """Exposure of frame t in stops, by those beside it whose `stops` (T,) are `known` (T,); `guess` where they see
        nothing."""
        proxies, found = self.clip.proxies, []
        for near in (t - 2, t - 1, t + 1, t + 2):
            if near in proxies and t in proxies and known[near]:
                step = stops[near] - guess
                dark, bright, sign = (t, near, -1) if step > 0 else (near, t, 1)
                seen = AlignedProxies(proxies, self.response, abs(step))
                points = collect_pairs(proxies, [(dark, bright, None)], self.period, self.response, seen)
                measured, _, count = measure_ratio(points, self.response)
                if math.isfinite(measured) and count > 20:
                    found.append((stops[near] + sign * measured, count))
        if not found:
            return guess
        return float(np.average([own for own, _ in found], weights=[count for _, count in found]))


def exposures_of_frames(frames: Frames, level: np.ndarray, gains: FrameGains, main: int) -> np.ndarray:
    """Exposure of every frame (T,), shortest = 1: that of its phase, `level` (period,) in stops, in the part `main` of the clip;
    in other parts measured there; its own where it fits none."""
    part, order = frames.part, np.argsort(level, kind="stable")
    stops = level[frames.phases].astype(float)
    for other in set(part.tolist()) - {main}:
        shifted = level + gains.shifts[other] - gains.shifts[main]
        measured = _levels(frames, order, other, shifted)
        kept = np.abs(shifted - level) < CHANGE  # by exposures that stay, the parts share one scale
        measured -= np.median((measured - level)[kept]) if kept.any() else 0.0
        stops[part == other] = measured[frames.phases[part == other]]
    known = ~np.isin(np.arange(len(stops)), gains.outliers)
    far = {t: np.abs(np.flatnonzero(known) - t).min() for t in gains.outliers}
    for t in sorted(gains.outliers, key=far.__getitem__):  # those beside regular frames first
        stops[t] = frames.own_stops(t, stops, known, stops[t] + gains.gains[t])
        known[t] = True
    return 2.0 ** (stops - stops.min())


def _written(frames: Frames, level: np.ndarray) -> int:
    """The part of a clip whose exposures come nearest to those written, `level` in stops."""
    order, off = np.argsort(level, kind="stable"), []
    for part in range(int(frames.part.max()) + 1):
        steps = [measure_ratio(points, frames.response)[0] for points in frames.steps(order, part)]
        off.append(np.nan_to_num(np.abs(np.array(steps) - np.diff(level[order])), nan=np.inf).max())
    return int(np.argmin(off))


def _levels(frames: Frames, order, part: int, expected: np.ndarray) -> np.ndarray:
    """Levels (period,) in stops of a part of the clip, about those `expected`; what cannot be measured is as expected."""
    found = expected.astype(float)
    for (a, b), points in zip(zip(order[:-1], order[1:], strict=True), frames.steps(order, part), strict=True):
        step, likely = measure_ratio(points, frames.response)[0], expected[b] - expected[a]
        found[b] = found[a] + (whole(step) if math.isfinite(step) and abs(step - likely) < 1 else likely)
    return found


def whole(stops: float) -> float:
    """The nearest whole stop where that is within WHOLE."""
    return float(round(stops)) if abs(round(stops) - stops) <= WHOLE else stops


def in_words(gains: FrameGains, of_frames: np.ndarray, phases: np.ndarray) -> tuple[str, ...]:
    """Sentences on frames that break the pattern."""
    words = []
    if gains.outliers:
        listing = ", ".join(f"{of_frames[t]:.3g}x" for t in gains.outliers[:8])
        several = len(gains.outliers) > 1
        words.append(
            f"Frame{'s' if several else ''} {listed(gains.outliers)} fit{'' if several else 's'} no exposure of the pattern "
            f"(settling, or a glitch): {listing} the shortest is taken."
        )
    regular = np.setdiff1d(np.arange(len(phases)), gains.outliers)
    for k, t in enumerate(gains.changes):
        part = gains.part_of(len(phases))[regular]
        was, now = (
            ", ".join(f"{e:.3g}" for e in _cycle(of_frames[regular][part == n], phases[regular][part == n]))
            for n in (k, k + 1)
        )
        words.append(f"The ratio changes at frame {t}: exposures {was} become {now}, each part has its own.")
    if gains.drift:
        words.append(
            f"The ratio drifts by {abs(gains.drift):.1f} stops over the clip, as with automatic ISO: each frame is brought to "
            "the ratio in the middle; record with fixed settings."
        )
    elif gains.flicker.any():
        words.append(
            f"The light flickers by up to {100 * (2 ** np.abs(gains.flicker).max() - 1):.0f} %: each frame is corrected by "
            "what its neighbours see."
        )
    return tuple(words)


def _cycle(exposures: np.ndarray, phases: np.ndarray) -> list[float]:
    return [float(np.median(exposures[phases == phase])) for phase in np.unique(phases)]


def blank_in_words(clip: ClipStatistics, phases: np.ndarray, period: int) -> tuple[str, ...]:
    """A sentence on frames that are all white or black although those of their exposure before and after them are not."""
    found = set()
    for share in (clip.clipped, clip.dark):
        for phase in range(period):
            at = np.flatnonzero(phases == phase)
            alone = np.maximum(share[at[:-2]], share[at[2:]]) < PICTURE
            found |= set(at[1:-1][alone & (share[at[1:-1]] > BLANK)].tolist())
    if not found:
        return ()
    frames = f"Frames {listed(sorted(found))} are" if len(found) > 1 else f"Frame {min(found)} is"
    return (
        f"{frames} all black or white amid others that are not, and will show in the result: replace such a frame by the one "
        "of its exposure before it.",
    )


def steadied(sequence: ExposureSequence, progress: Progress = quiet) -> ExposureSequence:
    """A clip of written exposures with its lamp flicker corrected, an exposure of their own for frames that fit none of the
    pattern, and other exposures from where the ratio changes, with warnings that say so; the clip itself where it is steady,
    was measured already, or is too short to tell."""
    count, period = len(sequence), sequence.period
    if sequence.measured or count < 4 * period or period > LONGEST:
        return sequence
    phases = np.arange(count) % period
    if not torch.equal(sequence.exposures, sequence.exposures[:period][torch.tensor(phases)]):
        return sequence
    clip = clip_statistics(sequence, progress)
    gains = frame_gains(clip, phases, period)
    sequence = sequence.with_(warnings=(*sequence.warnings, *blank_in_words(clip, phases, period)))
    if not (gains.flicker.any() or gains.outliers or gains.changes) or not np.isfinite(clip.steps[:, 0]).any():
        return sequence
    declared = np.diff(torch.log2(sequence.exposures).numpy(), prepend=np.nan)
    if not np.nansum(clip.steps[:, 0] * np.sign(declared)) > 0:  # the pixels go another way: Exposure Check says how
        return sequence
    frames = Frames(clip, sequence.response, np.arange(count), phases, period, gains.part_of(count), gains.outliers)
    level = torch.log2(sequence.exposures[:period]).numpy().astype(float)
    own = exposures_of_frames(frames, level, gains, _written(frames, level) if gains.changes else 0)
    words = in_words(gains, own, phases)
    sequence = sequence.with_(exposures=torch.tensor(own, dtype=torch.float32), warnings=(*sequence.warnings, *words))
    return without_flicker(sequence, gains.flicker) if gains.flicker.any() else sequence
