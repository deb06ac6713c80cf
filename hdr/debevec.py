"""A clip's response curve from its own static pixels (Debevec and Malik 1997), estimated once per clip."""

import torch
import torch.nn.functional as F

from .exposure import luma
from .response import ResponseCurve, tabulated
from .sequence import ExposureSequence

LEVELS = 256
USABLE = (0.02, 0.98)  # codes outside are clipped or black, and say nothing about light


def estimate_response(
    codes: torch.Tensor, exposures: torch.Tensor, smoothness: float = 0.01, per_channel: bool = False
) -> ResponseCurve:
    """The response under which static pixels, seen at several exposures, agree on their light.

    codes (P,K,3) in [0,1]: P pixels under K exposures; exposures (K,), relative. Least squares over g = log of linear
    light at 256 levels and the log light of every pixel. `smoothness` weighs the curvature of g over the logarithm of
    the code (the paper's is over the code itself) against the samples: higher pulls towards some power curve, lower
    follows log and film curves (0.001) and needs cleaner samples. One curve
    for all channels, or one each (film), made monotone and scaled so that code 1 is 1. Raises ValueError when the
    samples cannot determine a curve.
    """
    codes, exposures = codes.detach().double().cpu(), exposures.detach().double().cpu()
    if codes.ndim != 3 or codes.shape[2] != 3 or exposures.shape != codes.shape[1:2]:
        raise ValueError(
            f"samples are {tuple(codes.shape)}, exposures {tuple(exposures.shape)}: expected (pixels, exposures, 3) "
            "and (exposures,)"
        )
    if len(exposures.unique()) < 2 or not (exposures > 0).all():
        raise ValueError(f"exposures are {exposures.tolist()}: expected two or more different ones, all above 0")
    if per_channel:
        channels = list(codes.unbind(2))
    else:
        channels = [codes.movedim(2, 1).reshape(-1, len(exposures))]
    curves = [_solve(samples, exposures.log(), smoothness) for samples in channels]
    linear = torch.stack([_rising(g).exp() for g in curves], 1)
    linear = F.pad(linear, (0, 0, 1, 0))  # level 0 is black, which the logarithm cannot say
    levels = torch.linspace(0, 1, LEVELS, dtype=torch.float64)[:, None].expand_as(linear)
    return tabulated("estimated (Debevec)", levels, linear)


def _hat(codes: torch.Tensor) -> torch.Tensor:
    return (1 - (2 * codes - 1).abs()).clamp(0, 1)


def _usable(codes: torch.Tensor) -> torch.Tensor:
    return (codes > USABLE[0]) & (codes < USABLE[1])


def _solve(codes: torch.Tensor, log_exposure: torch.Tensor, smoothness: float) -> torch.Tensor:
    """g of levels 1 and up, from codes (P,K); the unknown light of the pixels is eliminated beforehand."""
    codes = codes[_usable(codes).sum(1) >= 2]
    if len(codes) < 30:
        raise ValueError(
            f"only {len(codes)} samples are neither clipped nor black under two exposures, 30 are needed: "
            "choose a calmer or better exposed part of the clip, or name the response"
        )
    seen = codes[_usable(codes)]
    if seen.max() - seen.min() < 0.4:
        raise ValueError(
            f"the samples reach only from code {seen.min():.2f} to {seen.max():.2f}, a range of 0.4 is needed: "
            "choose a part of the clip with more contrast, or name the response"
        )
    weight = torch.where(_usable(codes), _hat(codes), 0.0)
    position = codes.clamp(0, 1) * (LEVELS - 1)
    below = position.floor().clamp(max=LEVELS - 2).long()
    # a code between two levels reads g between them: g(z) = basis(z) . g
    basis = F.one_hot(below, LEVELS) * (1 - (position - below))[..., None]
    basis = basis + F.one_hot(below + 1, LEVELS) * (position - below)[..., None]
    return _fit(basis, weight, log_exposure, _log_curvature() * smoothness)


def _log_curvature() -> torch.Tensor:
    """Rows that give d2g / d(log z)2 at every level: (LEVELS-3, LEVELS). Any power curve has none."""
    z = torch.arange(2, LEVELS - 1, dtype=torch.float64)
    rows = torch.zeros(len(z), LEVELS, dtype=torch.float64)
    at = torch.arange(len(z))
    rows[at, at + 1], rows[at, at + 2], rows[at, at + 3] = z * (z - 0.5), -2 * z * z, z * (z + 0.5)
    return rows / len(z) ** 0.5


def _fit(basis, weight, log_exposure, bend, rounds: int = 5) -> torch.Tensor:
    """Least squares, repeated with less weight on samples that disagree (motion, reflections): g of levels 1 and up."""
    anchor = F.one_hot(torch.tensor([LEVELS // 2]), LEVELS).double()  # g = 0 there: the scale is free
    trust = torch.ones_like(weight)
    for _ in range(rounds):
        w = weight * trust
        share = w.square() / w.square().sum(1, keepdim=True)
        centred = basis - (share[..., None] * basis).sum(1, keepdim=True)
        target = log_exposure - (share * log_exposure).sum(1, keepdim=True)
        scale = w.square().sum().sqrt()
        system = torch.cat(((w[..., None] * centred).reshape(-1, LEVELS) / scale, bend, anchor))
        values = torch.cat(((w * target).flatten() / scale, torch.zeros(len(bend) + 1, dtype=torch.float64)))
        g = torch.linalg.lstsq(system[:, 1:], values[:, None], driver="gels").solution[:, 0]  # no sample reads level 0
        error = (weight * (centred[..., 1:] @ g - target)).abs()
        typical = error[weight > 0].median().clamp(min=1e-6)
        trust = (3 * typical / error.clamp(min=1e-12)).clamp(max=1).sqrt()
    return g


def _rising(g: torch.Tensor) -> torch.Tensor:
    """The nearest non-falling sequence in the least-squares sense: neighbours that fall are pooled into their mean."""
    blocks: list[tuple[float, int]] = []
    for value in g.tolist():
        count = 1
        while blocks and blocks[-1][0] > value:
            mean, size = blocks.pop()
            value, count = (mean * size + value * count) / (size + count), count + size
        blocks.append((value, count))
    return torch.cat([torch.full((count,), value, dtype=torch.float64) for value, count in blocks])


def sample_static_pixels(
    sequence: ExposureSequence, count: int = 600, places: int = 8, tolerance: float = 0.02
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels that stand still, spread over picture, clip and code range: codes (P,K,3), exposures (K,), P <= count.

    At up to `places` points of the clip two neighbouring periods are read. A pixel stands still where the frames of
    equal exposure agree within `tolerance` in code value; what is returned is their mean over a 3x3 neighbourhood.
    Raises ValueError when the clip is shorter than two periods, or has no two periods of the same exposures.
    """
    period = sequence.period
    last = len(sequence) - 2 * period
    if last < 0:
        raise ValueError(f"the clip has {len(sequence)} frames, two exposure periods ({2 * period}) are needed")
    pattern = sequence.exposures[:period]
    starts = [t for t in range(last + 1) if _repeats(sequence.exposures[t : t + 2 * period], pattern)]
    if not starts:
        raise ValueError("no two neighbouring periods of the clip have the same exposures: check the pattern")
    chosen = [starts[i] for i in torch.linspace(0, len(starts) - 1, min(places, len(starts))).round().long().tolist()]
    samples = torch.cat([_static(sequence, start, tolerance) for start in dict.fromkeys(chosen)])
    return _spread(samples, count), pattern.clone()


def _repeats(exposures: torch.Tensor, pattern: torch.Tensor) -> bool:
    return torch.equal(exposures, torch.cat((pattern, pattern)))


def _static(sequence: ExposureSequence, start: int, tolerance: float) -> torch.Tensor:
    """The calmest pixel of every 8x8 block, if it is calm enough: (n,K,3)."""
    period = sequence.period
    frames = sequence.frames[start : start + 2 * period].float().movedim(-1, 1)  # (2K,3,H,W)
    smooth = F.avg_pool2d(frames, 3, 1)
    first, second = smooth[:period], smooth[period:]
    motion = luma((first - second).abs(), 1).amax(0)
    # where the picture is flat, motion too small to be seen does no harm either
    contrast = luma(F.max_pool2d(frames, 3, 1) + F.max_pool2d(-frames, 3, 1), 1).amax(0)
    score, calmest = F.max_pool2d(-(motion + 0.25 * contrast)[None], 8, ceil_mode=True, return_indices=True)
    calmest = calmest.flatten()
    calmest = calmest[motion.flatten()[calmest] < tolerance]
    return ((first + second) / 2).flatten(2)[:, :, calmest].movedim(2, 0)


def _spread(samples: torch.Tensor, count: int, bins: int = 20) -> torch.Tensor:
    """At most `count` of the samples (n,K,3), the same number from every part of the code range where there are any."""
    level = (luma(samples).mean(1) * bins).long().clamp(max=bins - 1)
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
    turn = torch.zeros(len(samples), dtype=torch.long)  # 0 for the first of its bin, 1 for the second ...
    for b in range(bins):
        members = order[level[order] == b]
        turn[members] = torch.arange(len(members))
    return samples[turn.argsort(stable=True)[:count]]
