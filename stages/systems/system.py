"""Table row of one method, from a normalized clip to radiance."""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class System:
    """name: of the method in `reconstruct` and in the commands of `training`; also the name of its file here.

    paper: where it is published; for the pack's own, its parts. networks: ids of all packaged networks that `run`
    loads, see `models.registry.ARCHITECTURES`. run: (sequence, device, progress) -> radiance (T,H,W,3) float32 on the
    CPU, of a normalized clip, with packaged weights; 1.0 is the clipping of the shortest exposure. recipe: name of its
    last training recipe, after those of its other networks; None without networks. workflow: its file in workflows/,
    without the ending; None without one. reach: function of the exposure period, the number of frames on either side that the
    result of a frame depends on, if windows begin at the same frames as in the whole clip (`ExposureSequence.first`); None =
    unknown: such a method is run on whole clips. window: frames that the method processes together.
    """

    name: str
    paper: str
    networks: tuple[str, ...]
    run: Callable[..., torch.Tensor]
    recipe: str | None = None
    workflow: str | None = None
    reach: Callable[[int], int] | None = None
    window: int = 1


def one_period(period: int) -> int:
    """Frames on either side that cover all exposures."""
    return max(period - 1, 1)
