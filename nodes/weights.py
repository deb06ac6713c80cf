"""Networks of the nodes: packaged weights or the user's own, on ComfyUI's device."""

from contextlib import contextmanager
from pathlib import Path

from comfy_api.latest import io

from ..stages.clip.read import fingerprint
from ..stages.runtime.networks import PACKAGED, load_chosen, work_memory
from .compat import known, on_device, weights_files, weights_folders
from .wires import Model


class NodeWithWeights(io.ComfyNode):
    """A node with the input `weights_input`: it runs again when the chosen file was overwritten."""

    @classmethod
    def fingerprint_inputs(cls, weights=PACKAGED, **_):
        folders = [] if weights == PACKAGED else weights_folders()
        return "".join(fingerprint(str(Path(folder) / str(weights))) for folder in folders)


def weights_input(whose: str):
    """The choice between packaged weights and the user's own. whose: name of the network in the tooltip."""
    return known(
        io.Combo.Input,
        "weights",
        advanced=True,
        options=[PACKAGED, *weights_files()],
        default=PACKAGED,
        optional=True,
        tooltip="packaged = the trained weights that come with the pack. Files are your own, from ComfyUI's "
        f"models/hdrweave folder. They must be of {whose}.",
    )


def model_input():
    """A network that was adapted, in place of stored weights."""
    return Model.Input(
        "model",
        optional=True,
        tooltip="A network from Adapt to Footage, of this node's kind: used in place of weights.",
    )


@contextmanager
def chosen_network(name: str, weights: str, size: tuple[int, int], pictures: int, model=None):
    """The network `name` on ComfyUI's device, or that of `model` if it is not None, with memory there to process `pictures`
    frames of `size` at once."""
    network = load_chosen(name, weights, weights_folders(), model)
    with on_device(network, work_memory(name, size, pictures), kept=model is not None) as loaded:
        yield loaded
