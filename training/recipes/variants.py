"""Ablation studies: the variants of a paper in its order, each a change of the same recipe."""

from collections.abc import Callable
from dataclasses import dataclass

from ...models import registry
from .recipe import Recipe


@dataclass(frozen=True)
class Variant:
    """A variant of an ablation study: its name in the paper's table, and its recipe."""

    name: str
    recipe: Recipe


@dataclass(frozen=True)
class Ablation:
    """An ablation study. settings: by variant, the arguments of `recipe`. needs: packaged weights that it uses."""

    recipe: Callable[..., Recipe]
    settings: dict[str, dict]
    needs: tuple[str, ...] = ()

    def variants(self) -> list[Variant]:
        """The variants in the paper's order. Raises ValueError when weights are missing that must be trained before."""
        missing = [name for name in self.needs if name not in registry.names()]
        if missing:
            raise ValueError(f"this ablation needs the weights {' and '.join(missing)}: train and install them first")
        return [Variant(name, self.recipe(**changes)) for name, changes in self.settings.items()]
