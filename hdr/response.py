"""Camera response curves: code values in [0,1] to linear light in [0,1], and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from . import transfer_functions as curves


@dataclass(frozen=True)
class ResponseCurve:
    """A response curve. decode: code value -> linear light, 1.0 where the sensor clips (code value 1). encode: its
    inverse. recipe: the parameters it was made from, as numbers and strings: {"name"}, with "codes" and "linear" for a table,
    "white" for another white level; `hdr.survey.response_from` builds the curve from it.

    Both take float32 tensors of any shape (channels last where the curve differs between channels), clamp them to [0,1]
    and are differentiable. Curves are equal when their names are, and can be pickled and copied.
    """

    name: str
    decode: Callable[[torch.Tensor], torch.Tensor] = field(compare=False, repr=False)
    encode: Callable[[torch.Tensor], torch.Tensor] = field(compare=False, repr=False)
    recipe: dict = field(compare=False, repr=False, default_factory=dict)


def _identity(values: torch.Tensor) -> torch.Tensor:
    return values


PUBLISHED = {
    "gamma2.2": (curves.gamma_decode, curves.gamma_encode),
    "sRGB": (curves.srgb_decode, curves.srgb_encode),
    "BT.709": (curves.bt709_decode, curves.bt709_encode),
    "linear": (_identity, _identity),
    "S-Log3": (curves.slog3_decode, curves.slog3_encode),
    "LogC3": (curves.logc3_decode, curves.logc3_encode),
    "LogC4": (curves.logc4_decode, curves.logc4_encode),
    "V-Log": (curves.vlog_decode, curves.vlog_encode),
    "Canon Log 2": (curves.canon_log2_decode, curves.canon_log2_encode),
    "Canon Log 3": (curves.canon_log3_decode, curves.canon_log3_encode),
    "HLG": (curves.hlg_decode, curves.hlg_encode),
    "PQ": (curves.pq_decode, curves.pq_encode),
}
RESPONSES = tuple(PUBLISHED)
ON_FULL_CODE = ("S-Log3", "V-Log", "Canon Log 2", "Canon Log 3")  # defined on code/1023, in files of limited range, too


def _decode(v: torch.Tensor, curve, peak: float) -> torch.Tensor:
    return (curve(v.clamp(0, 1)) / peak).clamp(0, 1)


def _encode(x: torch.Tensor, curve, peak: float) -> torch.Tensor:
    return curve(x.clamp(0, 1) * peak).clamp(0, 1)


def response_named(name: str) -> ResponseCurve:
    """Response curve by name: one of `RESPONSES`, or `gammaX.Y` for an exponent from 0.1 to 10.

    Log curves are scaled so that code value 1 is linear 1, and clamped to 0 below black. Raises ValueError for other
    names.
    """
    if name in PUBLISHED:
        decode, encode = PUBLISHED[name]
    else:
        decode, encode = _gamma(name)
    peak = float(decode(torch.ones((), dtype=torch.float64)))
    both = partial(_decode, curve=decode, peak=peak), partial(_encode, curve=encode, peak=peak)
    return ResponseCurve(name, *both, {"name": name})


def at_white_level(response: ResponseCurve, white: Sequence[float]) -> ResponseCurve:
    """The response for code values that were divided by `white`, the code at which each channel clips, which becomes linear 1.

    Power laws and linear light do not change. White levels above 1 (superwhite) need a published curve, which is defined
    beyond code value 1. Raises ValueError for levels outside (0,2), and where the curve gives no light at the level.
    """
    if not all(0 < w < 2 for w in white):
        raise ValueError(f"the white level is {white}: give code values above 0 and below 2")
    power = response.name == "linear" or (response.name.startswith("gamma") and "," not in response.name)
    if power or all(w == 1 for w in white):
        return response
    curve = PUBLISHED[response.name] if response.name in PUBLISHED else (response.decode, response.encode)
    scale = white[0] if len(set(white)) == 1 else torch.tensor(white, dtype=torch.float64)
    peak = curve[0](torch.as_tensor(scale, dtype=torch.float64).expand(3))
    if not (peak > 0).all():
        raise ValueError(f"the response {response.name} gives no light at the white level {min(white):.4g}: check both")
    known = response.recipe.get("white", (1, 1, 1))  # of a response that is at a white level already
    words = ", ".join(f"{w:.4g}" for w in dict.fromkeys(white))
    parts = {"scale": scale, "peak": peak[0].item() if len(set(white)) == 1 else peak}
    return ResponseCurve(
        f"{response.name}, white at {words}",
        partial(_decode_scaled, curve=curve[0], **parts),
        partial(_encode_scaled, curve=curve[1], **parts),
        {**response.recipe, "white": [w * before for w, before in zip(white, known, strict=True)]},
    )


def _decode_scaled(v: torch.Tensor, curve, scale, peak) -> torch.Tensor:
    return (curve(v.clamp(0, 1) * _like(scale, v)) / _like(peak, v)).clamp(0, 1)


def _encode_scaled(x: torch.Tensor, curve, scale, peak) -> torch.Tensor:
    return (curve(x.clamp(0, 1) * _like(peak, x)) / _like(scale, x)).clamp(0, 1)


def _like(factor, values: torch.Tensor):
    return factor.to(values) if isinstance(factor, torch.Tensor) else factor


def _gamma(name: str):
    try:
        gamma = float(name.removeprefix("gamma"))
    except ValueError:
        gamma = 0.0
    if not name.startswith("gamma") or not 0.1 <= gamma <= 10:
        raise ValueError(
            f"'{name}' is no response curve: choose one of {', '.join(RESPONSES)}, or gamma and a number from 0.1 to 10"
        )
    return partial(curves.gamma_decode, gamma=gamma), partial(curves.gamma_encode, gamma=gamma)


def tabulated(name: str, codes: torch.Tensor, linear: torch.Tensor) -> ResponseCurve:
    """Piecewise linear response curve from a table, scaled so that code value 1 is linear 1, negative values clamped to
    0.

    codes (N,C): increasing; linear (N,C): non-decreasing; C = 1 (one curve for all channels) or 3. Raises ValueError
    when a column decreases, is flat, is not finite, or is 0 at code value 1.
    """
    codes, linear = codes.double(), linear.double()
    recipe = {"name": name, "codes": codes.tolist(), "linear": linear.tolist()}
    if not (torch.isfinite(codes).all() and torch.isfinite(linear).all()):
        raise ValueError(f"{name}: the table holds NaN or infinite values, expected numbers only")
    if len(codes) < 2 or (codes.diff(dim=0) <= 0).any():
        raise ValueError(f"{name}: the code values must rise from line to line, and there must be at least two")
    if (linear.diff(dim=0) < 0).any():
        row = int((linear.diff(dim=0) < 0).any(1).nonzero()[0]) + 1
        raise ValueError(
            f"{name}: the curve falls at entry {row}, but a response must rise with the code value: smooth or sort it"
        )
    linear = linear.clamp(min=0)
    top = interpolate_linear(torch.ones(1, codes.shape[1], dtype=torch.float64), codes, linear)
    if (top <= 0).any():
        raise ValueError(f"{name}: the curve gives no light at code value 1: is it inverted, or all zero?")
    if (linear[-1] <= linear[0]).any():
        raise ValueError(f"{name}: the curve is flat, but a response must rise with the code value: check the file")
    table = {"codes": codes, "linear": linear / top}
    return ResponseCurve(name, partial(_table_decode, **table), partial(_table_encode, **table), recipe)


def _table_decode(v: torch.Tensor, codes: torch.Tensor, linear: torch.Tensor) -> torch.Tensor:
    return interpolate_linear(v.clamp(0, 1), codes, linear).clamp(0, 1)


def _table_encode(x: torch.Tensor, codes: torch.Tensor, linear: torch.Tensor) -> torch.Tensor:
    return interpolate_linear(x.clamp(0, 1), linear, codes).clamp(0, 1)


def interpolate_linear(x: torch.Tensor, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    """Piecewise linear interpolation y(x) through the points (xs, ys), constant outside them: the shape of x.

    xs (N,C): non-decreasing; ys (N,C); C = 1 or the size of the last axis of x. Differentiable in x. Of points with the
    same x the last one counts, so that the inverse of a curve that is flat at black returns its black code. Raises
    ValueError when the last axis does not match.
    """
    columns = xs.shape[1]
    if columns > 1 and x.shape[-1] != columns:
        raise ValueError(f"the response has {columns} channels, the picture {x.shape[-1]}: expected RGB, channels last")
    xs, ys = xs.to(x).T.contiguous(), ys.to(x).T.contiguous()
    flat = x.reshape(-1, columns).T.contiguous()
    right = torch.searchsorted(xs, flat.detach(), right=True).clamp(1, xs.shape[1] - 1)
    x0, x1, y0, y1 = (table.gather(1, index) for table in (xs, ys) for index in (right - 1, right))
    width = x1 - x0
    share = torch.where(width > 0, (flat - x0) / width.where(width > 0, torch.ones_like(width)), 1.0).clamp(0, 1)
    return (y0 + share * (y1 - y0)).T.reshape(x.shape)
