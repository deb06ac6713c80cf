"""What the trainer is told about a network: how to build it, what to minimise, what to feed it, what to keep of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from ...hdr.sequence import ExposureSequence
from ..data.batches import Augmentation, Batches, Window

Loss = Callable[[nn.Module, dict[str, torch.Tensor]], tuple[torch.Tensor, dict[str, torch.Tensor]]]


@dataclass(frozen=True)
class Kept:
    """A network that goes into the weights registry when training ends.

    name: its file and its entry. architecture, parameters: as `models.registry.build` takes them. part: where in the
    trained module it is, such as "adapter"; "" = the whole.
    """

    name: str
    architecture: str
    parameters: dict = field(default_factory=dict)
    part: str = ""


@dataclass(frozen=True)
class Recipe:
    """build: the module to train; what has requires_grad off is left as it is. loss: of (module, batch of `data.Batches`),
    runs the module too; gives a scalar and the metrics to log, none of which may need a gradient. windows: frames and flow
    pairs by period. crop: (height, width). batch: clips. rate: peak learning rate; it warms up over `warm_up` steps, or a
    tenth of the budget where that is less, and falls along a cosine to 1 % of itself. decay: weight decay, on kernels only.
    clip: largest gradient norm. average: decay of the exponential moving average that is kept. precision: see
    `trainer.precision_of`. batches: makes them, of what `data.Batches` is made of. perceptual: the loss has a term on VGG
    weights of the user's. first_passes: methods whose results it learns on, see `training.data.first_pass`. run: the trained
    module on a normalized clip, to radiance (T,H,W,3), where it makes pictures by itself.
    """

    name: str
    build: Callable[[], nn.Module]
    loss: Loss
    windows: dict[int, Window]
    kept: tuple[Kept, ...]
    crop: tuple[int, int] = (128, 128)
    batch: int = 4
    rate: float = 1e-3
    warm_up: int = 200
    decay: float = 1e-4
    clip: float = 5.0
    average: float = 0.999
    precision: str = "auto"
    augmentation: Augmentation = Augmentation()
    batches: Callable[..., Batches] = Batches
    perceptual: bool = False
    first_passes: tuple[str, ...] = ()
    run: Callable[[nn.Module, ExposureSequence], torch.Tensor] | None = None
