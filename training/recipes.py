"""What can be trained, by name."""

from collections.abc import Callable

from . import dealthdr, deephdrvideo, f2hdr, fgma, flagship, flow, location, lrhdr, sequence
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


def recipe_named(name: str) -> Recipe:
    """Raises ValueError when there is none of that name."""
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is unknown: choose from {', '.join(RECIPES)}")
    return RECIPES[name]()
