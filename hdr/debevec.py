"""Response curve of a clip, estimated from its static pixels (Debevec and Malik 1997), once per clip."""

import torch
import torch.nn.functional as F
from einops import rearrange

from .exposure import luma
from .response import ResponseCurve, tabulated
from .sequence import ExposureSequence

LEVELS = 256
VALID_RANGE = (0.02, 0.98)  # code values outside are black or clipped


def estimate_response(
    codes: torch.Tensor, exposures: torch.Tensor, smoothness: float = 0.01, per_channel: bool = False
) -> ResponseCurve:
    """Response curve from samples of static pixels at several exposures, monotone, scaled so that code value 1 is
    linear 1.

    codes (P,K,3) in [0,1]: P pixels at K exposures; exposures (K,), relative. Robust least squares for g, the logarithm
    of linear light at 256 code levels, and the log radiance of every pixel (Debevec and Malik 1997, equation 3).
    per_channel: one curve for each channel (film) in place of one for all.

    Changed against the paper: `smoothness` weights the curvature of g over the logarithm of the code value, not over
    the code value. Higher values favour a power curve; lower ones (0.001) follow log and film curves, and need cleaner
    samples. Raises ValueError when the samples do not determine a curve.
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
        channels = [rearrange(codes, "p k c -> (p c) k")]
    curves = [_solve(samples, exposures.log(), smoothness) for samples in channels]
    linear = torch.stack([_monotone(g).exp() for g in curves], 1)
    linear = F.pad(linear, (0, 0, 1, 0))  # level 0 is black, which has no logarithm
    levels = torch.linspace(0, 1, LEVELS, dtype=torch.float64)[:, None].expand_as(linear)
    return tabulated("estimated (Debevec)", levels, linear)


def _hat_weight(codes: torch.Tensor) -> torch.Tensor:
    return (1 - (2 * codes - 1).abs()).clamp(0, 1)


def _is_valid(codes: torch.Tensor) -> torch.Tensor:
    return (codes > VALID_RANGE[0]) & (codes < VALID_RANGE[1])


def _solve(codes: torch.Tensor, log_exposure: torch.Tensor, smoothness: float) -> torch.Tensor:
    """g at levels 1 to LEVELS - 1, from codes (P,K); the log radiance of the pixels is eliminated beforehand."""
    codes = codes[_is_valid(codes).sum(1) >= 2]
    if len(codes) < 30:
        raise ValueError(
            f"only {len(codes)} samples are neither clipped nor black under two exposures, 30 are needed: "
            "choose a calmer or better exposed part of the clip, or name the response"
        )
    valid = codes[_is_valid(codes)]
    if valid.max() - valid.min() < 0.4:
        raise ValueError(
            f"the samples reach only from code {valid.min():.2f} to {valid.max():.2f}, a range of 0.4 is needed: "
            "choose a part of the clip with more contrast, or name the response"
        )
    weight = torch.where(_is_valid(codes), _hat_weight(codes), 0.0)
    position = codes.clamp(0, 1) * (LEVELS - 1)
    below = position.floor().clamp(max=LEVELS - 2).long()
    # linear interpolation of g between two levels: g(z) = basis(z) . g
    basis = F.one_hot(below, LEVELS) * (1 - (position - below))[..., None]
    basis = basis + F.one_hot(below + 1, LEVELS) * (position - below)[..., None]
    return _robust_least_squares(basis, weight, log_exposure, _log_curvature() * smoothness)


def _log_curvature() -> torch.Tensor:
    """Second-derivative operator d2g / d(log z)2 at the inner levels, (LEVELS-3, LEVELS): 0 for power curves."""
    z = torch.arange(2, LEVELS - 1, dtype=torch.float64)
    rows = torch.zeros(len(z), LEVELS, dtype=torch.float64)
    at = torch.arange(len(z))
    rows[at, at + 1], rows[at, at + 2], rows[at, at + 3] = z * (z - 0.5), -2 * z * z, z * (z + 0.5)
    return rows / len(z) ** 0.5


def _robust_least_squares(basis, weight, log_exposure, curvature, rounds: int = 5) -> torch.Tensor:
    """Iteratively reweighted least squares, robust against motion and reflections: g at levels 1 to LEVELS - 1."""
    anchor = F.one_hot(torch.tensor([LEVELS // 2]), LEVELS).double()  # g = 0 there, as the scale is free
    robust = torch.ones_like(weight)
    for _ in range(rounds):
        w = weight * robust
        share = w.square() / w.square().sum(1, keepdim=True)
        centred = basis - (share[..., None] * basis).sum(1, keepdim=True)
        target = log_exposure - (share * log_exposure).sum(1, keepdim=True)
        scale = w.square().sum().sqrt()
        system = torch.cat((rearrange(w[..., None] * centred, "p k level -> (p k) level") / scale, curvature, anchor))
        values = torch.cat(
            (rearrange(w * target, "p k -> (p k)") / scale, torch.zeros(len(curvature) + 1, dtype=torch.float64))
        )
        g = torch.linalg.lstsq(system[:, 1:], values[:, None], driver="gels").solution[:, 0]  # level 0 has no samples
        error = (weight * (centred[..., 1:] @ g - target)).abs()
        typical = error[weight > 0].median().clamp(min=1e-6)
        robust = (3 * typical / error.clamp(min=1e-12)).clamp(max=1).sqrt()
    return g


def _monotone(g: torch.Tensor) -> torch.Tensor:
    """The nearest non-decreasing sequence in the least-squares sense."""
    from scipy.optimize import isotonic_regression

    return torch.from_numpy(isotonic_regression(g.numpy()).x)


def sample_static_pixels(
    sequence: ExposureSequence, count: int = 600, places: int = 8, tolerance: float = 0.02
) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples of static pixels, spread over picture, clip and code range: codes (P,K,3), exposures (K,), P <= count.

    At up to `places` points of the clip two consecutive periods are read. A pixel is static where the frames of equal
    exposure agree within `tolerance` in code value; a sample is their mean over 3x3 pixels. Raises ValueError when the
    clip is shorter than two periods, or has no two consecutive periods of the same exposures.
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
    samples = torch.cat([_static_pixels(sequence, start, tolerance) for start in dict.fromkeys(chosen)])
    return _stratified_subset(samples, count), pattern.clone()


def _repeats(exposures: torch.Tensor, pattern: torch.Tensor) -> bool:
    return torch.equal(exposures, torch.cat((pattern, pattern)))


def _static_pixels(sequence: ExposureSequence, start: int, tolerance: float) -> torch.Tensor:
    """The pixel with the least motion of every 8x8 block, where that is below `tolerance`: (n,K,3)."""
    period = sequence.period
    frames = sequence.frames[start : start + 2 * period].float()
    frames = rearrange(frames, "k h w c -> k c h w")  # (2K,3,H,W)
    smooth = F.avg_pool2d(frames, 3, 1)
    first, second = smooth[:period], smooth[period:]
    motion = luma((first - second).abs(), 1).amax(0)
    # Contrast counts against a pixel too: in flat areas, motion that is too small to measure does no harm.
    contrast = luma(F.max_pool2d(frames, 3, 1) + F.max_pool2d(-frames, 3, 1), 1).amax(0)
    _, best = F.max_pool2d(-(motion + 0.25 * contrast)[None], 8, ceil_mode=True, return_indices=True)
    best = best.flatten()
    best = best[motion.flatten()[best] < tolerance]
    return rearrange((first + second) / 2, "k c h w -> (h w) k c")[best]


def _stratified_subset(samples: torch.Tensor, count: int, bins: int = 20) -> torch.Tensor:
    """At most `count` of the samples (n,K,3), stratified by luma: equal numbers from each bin where possible."""
    level = (luma(samples).mean(1) * bins).long().clamp(max=bins - 1)
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
    rank = torch.zeros(len(samples), dtype=torch.long)  # position within the bin, in random order
    for b in range(bins):
        members = order[level[order] == b]
        rank[members] = torch.arange(len(members))
    return samples[rank.argsort(stable=True)[:count]]
