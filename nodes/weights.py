"""Networks of the nodes: packaged weights or the user's own, on the device that ComfyUI wants them on."""

from contextlib import contextmanager

from comfy_api.latest import io

from ..stages.networks import PACKAGED, load_network, work_memory
from .compat import on_device, weights_files, weights_folders


def weights_input(whose: str):
    """The choice between packaged weights and the user's own. whose: what they are of."""
    return io.Combo.Input(
        "weights",
        options=[PACKAGED, *weights_files()],
        default=PACKAGED,
        optional=True,
        tooltip="packaged = the trained weights that come with the pack. Files are your own, from ComfyUI's "
        f"models/hdrweave folder. They must be of {whose}.",
    )


@contextmanager
def chosen_network(name: str, weights: str, size: tuple[int, int], pictures: int):
    """The network `name` on ComfyUI's device, with room there for as many `pictures` of `size` at once."""
    with on_device(load_network(name, weights, weights_folders()), work_memory(name, size, pictures)) as loaded:
        yield loaded
