"""What can be trained, by name."""

from collections.abc import Callable

from . import flow
from .f2hdr import recipe as f2hdr
from .recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {"base_flow": flow.recipe, "f2hdr": f2hdr}


def recipe_named(name: str) -> Recipe:
    """Raises ValueError when there is none of that name."""
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is unknown: choose from {', '.join(RECIPES)}")
    return RECIPES[name]()
