"""Camera response curves: code values in [0,1] to linear light in [0,1], and back."""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ResponseCurve:
    """decode: code value -> linear light with 1.0 where the sensor clips (code value 1). encode: its inverse."""

    name: str
    decode: Callable[[torch.Tensor], torch.Tensor]
    encode: Callable[[torch.Tensor], torch.Tensor]


def response_named(name: str) -> ResponseCurve:
    """A response curve by its name, `gamma2.2` or `linear` for instance."""
    if name.startswith("gamma"):
        g = float(name[5:])
        return ResponseCurve(name, lambda v: v.clamp(0, 1).pow(g), lambda x: x.clamp(1e-8, 1).pow(1 / g))
    if name == "linear":
        return ResponseCurve(name, lambda v: v.clamp(0, 1), lambda x: x.clamp(0, 1))
    raise ValueError(name)
