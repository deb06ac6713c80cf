"""Recipe of a training: the network, its loss, its batches, and the parts that are kept."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from ...hdr.sequence import ExposureSequence
from ...models import registry
from ..data.batches import Augmentation, Batches, Window

Loss = Callable[[nn.Module, dict[str, torch.Tensor]], tuple[torch.Tensor, dict[str, torch.Tensor]]]


@dataclass(frozen=True)
class Kept:
    """A network that is registered when training ends.

    name: of its file and entry. architecture, parameters: of `models.registry.build`. part: attribute path in the
    trained module, such as "adapter"; "" = the whole. start: name of the packaged network from which `Recipe.build` takes
    weights where it can; "" = none.
    """

    name: str
    architecture: str
    parameters: dict = field(default_factory=dict)
    part: str = ""
    start: str = ""

    def started_from(self, further: bool) -> dict:
        """Manifest entry of the packaged network whose weights the training starts from; empty where there is none. further:
        it starts from the package's weights of the same name."""
        name = self.name if further else self.start
        return next((entry for entry in registry.manifest(registry.PACKAGED) if entry["name"] == name), {})


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    build: makes the module; its parameters with requires_grad off stay fixed. loss: runs the module on a batch of
    `data.Batches`; returns a scalar and the metrics to log, without gradients. windows: by period. kept: the networks that are
    registered at the end.

    crop: (height, width). batch: clips. rate: peak learning rate; it warms up over `warm_up` steps, or a tenth of the budget
    where that is less, and falls along a cosine to 1 % of itself. decay: weight decay, on kernels only. clip: largest gradient
    norm. average: decay of the exponential moving average that is kept. precision: see `trainer.precision_of`.

    batches: class of the batches, called like `data.Batches`. perceptual: the loss has a term on VGG-16 features, whose weights
    the user provides. first_passes: methods on whose results the network learns, see `data.first_pass`. run: applies the
    trained module to a normalized clip, giving radiance (T,H,W,3); None where it makes no pictures by itself.
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


def of_one_network(name: str, build: Callable[..., nn.Module], config: Any, loss: Loss, window: Callable) -> Recipe:
    """Recipe of the network `build(config)` with id `name`, on the `window` of two and of three exposures; all of it is
    kept."""
    windows = {period: window(period) for period in (2, 3)}
    return Recipe(name, partial(build, config), loss, windows, (Kept(name, name, asdict(config)),))
