"""The row for one ablation: a paper's steps in its order, each a change of the same recipe."""

from collections.abc import Callable
from dataclasses import dataclass

from ...models import registry
from .recipe import Recipe


@dataclass(frozen=True)
class Rung:
    name: str
    recipe: Recipe


@dataclass(frozen=True)
class Ladder:
    """steps: of each rung its name, and what `recipe` is told. needs: packaged weights that training or judging uses."""

    recipe: Callable[..., Recipe]
    steps: dict[str, dict]
    needs: tuple[str, ...] = ()

    def rungs(self) -> list[Rung]:
        """Raises ValueError when weights are missing that must be trained before."""
        missing = [name for name in self.needs if name not in registry.names()]
        if missing:
            raise ValueError(f"this ladder needs the weights {' and '.join(missing)}: train and install them first")
        return [Rung(name, self.recipe(**told)) for name, told in self.steps.items()]
