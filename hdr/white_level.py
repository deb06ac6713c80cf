"""White level of a clip: the code value, of each channel, at which its sensor clips.

The sensor does not always clip at code value 1: log footage ends below it, some cameras keep headroom, 12-bit values may lie
unshifted in 16 bits. Clipped pixels form a narrow peak at the upper end of the histogram. A bright uniform surface does so
too, but it is uniform in a shorter exposure as well, where clipped pixels have different values.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

TOP = 0.97  # code value from which a level needs no scaling, as clipping is recognised there anyway
BINS = 256  # of the histogram of a channel, between 0 and its largest code value
PEAK = 2  # bins on either side of the mode that belong to the peak: noise and compression
BELOW = 16  # bins below the peak with which it is compared
MIN_SHARE = 5e-4  # of the samples that lie in the peak
MIN_CONTRAST = 4.0  # density of the peak over the density below
MAX_ABOVE = 0.1  # samples above the peak, as a share of those within: ringing of a codec
MIN_SPREAD = 0.06  # of the code values, over their median, that clipped pixels have in another frame
UNSHIFTED = (1023, 4095, 16383)  # white of 10, 12 and 14 bits, as codes of 16
HEADROOM = 1.16  # above the largest signal of limited range, 1.09
ABOVE_WHITE = 1.03  # signal from which a peak is not that of white with the overshoot of a codec
BLOCK = 3  # pixels of a side of the blocks whose means are compared between exposures: noise and compression
RISE, MIN_RISES, MAX_RISES = 1.2, 3, 20  # code of the shorter exposure, in steps of this factor, over which white stays
FLATNESS = 0.03  # share by which it may vary over them
MIN_BLOCKS = 8  # of each step
MIN_PLATEAU = 0.5  # code value from which a plateau is one of clipped pixels: noise near black makes one, too
ALIKE = 0.02  # relative difference below which the channels have one white level


def white_level(stretches) -> tuple[float, float, float]:
    """White level of each channel in (0,1], 1 where no channel has a peak of clipped pixels below TOP.

    stretches: tensors (n,H,W,3) of consecutive frames, code values in [0,1], in which every exposure occurs. A channel that
    does not clip gets the largest level of those that do, if its values are below that, else 1. Levels that differ by less
    than ALIKE are replaced by the largest.
    """
    stretches = [s.float() for s in stretches]
    if not stretches:
        return 1.0, 1.0, 1.0
    channels = [[s[..., k] for s in stretches] for k in range(3)]
    found = [_level(channel) for channel in channels]
    if not any(found):
        found = _plateaus(channels)
    tops = [max(float(s[..., k].max()) for s in stretches) for k in range(3)]
    highest = max(found) * (1 + ALIKE)
    levels = [level or (max(found) if top <= highest else 1.0) for level, top in zip(found, tops, strict=True)]
    if max(levels) - min(levels) < ALIKE * max(levels):
        levels = [max(levels)] * 3
    red, green, blue = (level if 0 < level < TOP else 1.0 for level in levels)
    return red, green, blue


def superwhite_level(frames: torch.Tensor) -> float:
    """The signal value above 1 at which a limited-range video with codes above white clips, as cameras record them up to code
    1019 of 10 bit; 1 where there is no peak of clipped pixels. frames (n,H,W,3): 0 = black and 1 = white, not clamped."""
    found = [_level([frames[..., k] / HEADROOM]) * HEADROOM for k in range(3)]
    return max(found) if max(found) > ABOVE_WHITE else 1.0


def _level(channel: list[torch.Tensor]) -> float:
    """White level of one channel, (n,H,W) for every stretch, up to TOP; 0 where there is no peak of clipped pixels."""
    top = max(float(c.max()) for c in channel)
    if not 0 < top:
        return 0.0
    count = torch.stack([torch.histc(c, BINS, 0, top) for c in channel]).sum(0)
    lowest = BINS - 1 - 4 * PEAK
    mode = lowest + int(count[lowest:].argmax())
    low, high = mode - PEAK, min(mode + PEAK, BINS - 1)
    inside, above = float(count[low : high + 1].sum()), float(count[high + 1 :].sum())
    density = inside / (high - low + 1)
    below = float(count[max(low - BELOW, 0) : low].mean())
    if (
        mode == lowest
        or inside < MIN_SHARE * float(count.sum())
        or density < MIN_CONTRAST * below
        or above > MAX_ABOVE * inside
    ):
        return 0.0
    if top * (mode + 1) / BINS >= TOP:
        return TOP  # clipped near code 1
    edge = top * low / BINS
    level = torch.cat([c[c >= edge] for c in channel]).median()
    if not (_is_full_scale(float(level)) or _differs_elsewhere(channel, edge)):
        return 0.0
    return float(level)


def _plateau(channel: list[torch.Tensor]) -> float:
    """White level of one channel, (n,H,W) for every stretch, of compressed or noisy footage: the code at which the longest
    exposure stays while that of a shorter one still rises; 0 where it rises up to the end."""
    pairs = [pair for frames in channel if (pair := _darkest_and_brightest(frames))]
    if not pairs:
        return 0.0
    dark, bright = (torch.cat([pair[k] for pair in pairs]) for k in (0, 1))
    top = torch.quantile(dark[:: 1 + len(dark) // 1_000_000], 0.999)
    step = (torch.log(top / dark.clamp(min=1e-6)) / math.log(RISE)).clamp(min=0).int()
    levels = []
    for k in range(MAX_RISES + 1):
        inside = bright[step == k]
        level = float(inside.quantile(0.9)) if len(inside) >= MIN_BLOCKS else 0.0  # motion mixes darker places in
        if level < (1 - FLATNESS) * np.median([*levels, level]):
            break
        levels.append(level)
    level = float(np.median(levels))
    beyond, clipped = int((bright > (1 + FLATNESS) * level).sum()), int((step < len(levels)).sum())
    if level < MIN_PLATEAU or not MIN_RISES <= len(levels) <= MAX_RISES or beyond > MAX_ABOVE * clipped:
        return 0.0
    return float(bright[(step < len(levels)) & (bright > (1 - FLATNESS) * level)].median())


def _plateaus(channels: list[list[torch.Tensor]]) -> list[float]:
    """`_plateau` of each channel; as it is less exact than a peak, one level for all where they are alike, and none where a
    single channel has one."""
    levels = [_plateau(channel) for channel in channels]
    known = [level for level in levels if level]
    if len(known) < 2:
        return [0.0] * len(levels)
    if max(known) - min(known) < 2 * FLATNESS * max(known):
        return [float(np.median(known))] * len(levels)
    return levels


def _darkest_and_brightest(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Means of blocks (N,) of the two neighbouring frames (n,H,W) that differ most, the darker first."""
    if len(frames) < 2 or min(frames.shape[1:]) < BLOCK:
        return None
    means = frames.flatten(1).mean(1)
    t = int(means.diff().abs().argmax())
    pair = F.avg_pool2d(frames[t : t + 2, None], BLOCK).flatten(1)
    return (pair[0], pair[1]) if means[t] < means[t + 1] else (pair[1], pair[0])


def _is_full_scale(level: float) -> bool:
    """Whether a code is the largest of 10, 12 or 14 bits, unshifted in 16."""
    return round(level * 65535) in UNSHIFTED


def level_on_curve(levels) -> tuple[float, ...]:
    """White levels (3,) as code values of the camera's own depth, which response curves are defined on.

    Codes below a quarter of full scale are those of 10, 12 or 14 bits that lie unshifted in 16.
    """
    depth = next((top / 65535 for top in UNSHIFTED if max(levels) <= top / 65535 + 1e-6), 1.0)
    return tuple(level if depth == 1 else min(level / depth, 1.0) for level in levels)


def _differs_elsewhere(channel: list[torch.Tensor], edge: float) -> bool:
    """Whether the pixels of the peak have different values in another frame of the same stretch in which fewer clip."""
    values = []
    for frames in channel:
        peak = frames >= edge
        shares = peak.flatten(1).float().mean(1)
        brightest = int(shares.argmax())
        others = (shares < 0.7 * shares[brightest]).nonzero()[:, 0]
        if len(others):
            darkest = others[frames[others].flatten(1).mean(1).argmin()]
            values.append(frames[darkest][peak[brightest]])
    if not values or sum(map(len, values)) < 20:
        return False
    values = torch.cat(values)
    values = values[:: max(1, len(values) // 100_000)]
    low, middle, high = values.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
    return high - low > MIN_SPREAD * max(middle, 1e-6)
