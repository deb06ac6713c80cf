"""The table's row for one method: from a normalized clip to radiance."""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class System:
    """name: of the method in `reconstruct` and in the commands of `training`; also the name of its file here.

    paper: where it is published; of the pack's own, what it is made of.
    networks: ids of all packaged networks that `run` loads, see `models.registry.ARCHITECTURES`.
    run: (sequence, device, progress) -> radiance (T,H,W,3) float32 on the CPU, of a normalized clip, with packaged weights;
    1.0 is the clipping of the shortest exposure.
    recipe: what `training` calls the last recipe that it is trained by, after those of its other networks; None where it
    has no networks.
    workflow: its file in workflows/, without the ending; None where there is none.
    """

    name: str
    paper: str
    networks: tuple[str, ...]
    run: Callable[..., torch.Tensor]
    recipe: str | None = None
    workflow: str | None = None
