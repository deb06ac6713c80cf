"""What can be trained, and which ablations there are, by name. A new recipe is a file here with its rows, `RECIPES` and
`ABLATIONS`, at the end."""

from collections.abc import Callable
from inspect import signature

from . import (
    accr,
    base_flow,
    collaborative_fusion,
    dealthdr,
    deephdrvideo,
    f2hdr,
    fgma,
    flagship,
    interpolate,
    lrhdr,
    sequence_refinement,
    sparse_fusion,
)
from .recipe import Recipe
from .variants import Ablation

FILES = (
    base_flow,
    f2hdr,
    fgma,
    interpolate,
    accr,
    sparse_fusion,
    lrhdr,
    sequence_refinement,
    deephdrvideo,
    dealthdr,
    collaborative_fusion,
    flagship,
)
RECIPES: dict[str, Callable[..., Recipe]] = {
    name: make for file in FILES for name, make in getattr(file, "RECIPES", {}).items()
}
"""Each recipe by its name: the id of its network where it is for one alone, see `models.registry`."""
ABLATIONS: dict[str, Ablation] = {name: row for file in FILES for name, row in getattr(file, "ABLATIONS", {}).items()}
"""Each ablation by the name of its system, or of its network where a system has two."""
PERCEPTUAL = tuple(name for name, make in RECIPES.items() if "vgg" in signature(make).parameters)
"""The recipes whose papers have a loss on VGG features."""


def recipe_named(name: str, vgg: str | None = None) -> Recipe:
    """vgg: file of VGG-16 weights for the perceptual loss, see `perceptual.PerceptualLoss`.

    Raises ValueError when there is none of that name, or it has no perceptual loss; ValueError or OSError when the file is not
    what it should be.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is unknown: choose from {', '.join(RECIPES)}")
    if vgg and name not in PERCEPTUAL:
        raise ValueError(f"recipe {name!r} has no perceptual loss, only {' and '.join(PERCEPTUAL)} do: leave --vgg out")
    return RECIPES[name](vgg=vgg) if vgg else RECIPES[name]()
