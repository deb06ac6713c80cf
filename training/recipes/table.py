"""What can be trained, by name."""

from collections.abc import Callable

from . import base_flow as flow
from . import collaborative_fusion as location
from . import dealthdr, deephdrvideo, f2hdr, fgma, flagship, lrhdr
from . import sequence_refinement as sequence
from .recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "base_flow": flow.recipe,
    "f2hdr": f2hdr.recipe,
    "fgma": fgma.recipe,
    "interpolate": lrhdr.interpolate,
    "accr": lrhdr.accr,
    "sparse_fusion": lrhdr.sparse_fusion,
    "sequence_refinement": sequence.recipe,
    "deephdrvideo_coarse": deephdrvideo.coarse,
    "deephdrvideo": deephdrvideo.recipe,
    "dealthdr": dealthdr.recipe,
    "collaborative_fusion": location.recipe,
    "flagship": flagship.recipe,
}
PERCEPTUAL = ("deephdrvideo", "dealthdr")  # those whose papers have a loss on VGG features


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
