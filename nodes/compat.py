"""Interface to the running ComfyUI: newer keywords, progress, device, weights. No other module depends on its version."""

import inspect
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import folder_paths

from ..stages.runtime.networks import set_half_allowed
from ..stages.runtime.pace import Pace
from .preview import live_picture

TEXT_INTERVAL = 1.0  # seconds between two texts at a node
PICTURE_INTERVAL = 0.5  # seconds between two pictures of it
PATCHER = "_hdrweave_patcher"  # attribute of a network that is on a wire
WEIGHTS_FOLDER = "hdrweave"  # in ComfyUI's models folder, and the key in its extra_model_paths.yaml


def known(cls, *args, **kwargs):
    """Call `cls` without those keywords that the running ComfyUI is too old to know, as one of them would fail the whole pack."""
    parameters = inspect.signature(cls.__init__).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return cls(*args, **kwargs)
    return cls(*args, **{k: v for k, v in kwargs.items() if k in parameters})


def progress_bar() -> "NodeProgress":
    """The progress of the node that runs, for its stage."""
    return NodeProgress()


class NodeProgress:
    """A stage's progress callback: moves the node's bar, writes steps per second and time left under it, has it show the frame
    that was computed last, and raises when the user has pressed Cancel."""

    def __init__(self):
        self.bar, self.pace, self.write = comfy.utils.ProgressBar(1), Pace(), _text_at_node()
        self.begin = self.last_text = time.monotonic()
        self.frame, self.last_picture = None, float("-inf")

    def __call__(self, done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        text, now, picture = self.pace.words(done, total), time.monotonic(), None
        if self.frame is not None and now - self.last_picture >= PICTURE_INTERVAL:
            picture, self.last_picture = live_picture(self.frame), now
        self.frame = None
        self.bar.update_absolute(done, total, picture)
        if now - self.last_text > TEXT_INTERVAL or (done == total and self.last_text > self.begin):
            self.last_text = now
            self.write(text)

    def show(self, frame) -> None:
        """Takes a frame (H,W,3) of radiance; it becomes a picture with the next step, if it is time for one."""
        self.frame = frame


def _text_at_node() -> Callable[[str], None]:
    """A function that shows a text under the node that runs; it does nothing where the running ComfyUI cannot show one."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    send = getattr(server, "send_progress_text", None)
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:
        return lambda text: None
    context = get_executing_context()
    if send is None or context is None:
        return lambda text: None
    return lambda text: send(text, context.node_id)


def device():
    """ComfyUI's device for networks and large tensor operations."""
    return comfy.model_management.get_torch_device()


def make_room(work_memory: int) -> None:
    """Unloads other models until `work_memory` bytes are free on ComfyUI's device, for what a stage loads and computes itself."""
    comfy.model_management.free_memory(work_memory, comfy.model_management.get_torch_device())


@contextmanager
def on_device(network, work_memory: int, kept: bool = False):
    """`network` on ComfyUI's device; other models are unloaded to make room for it and for `work_memory` bytes.

    kept: the network is used again after this context, as one on a wire. Its patcher then stays with it, as ComfyUI cannot unload
    a network whose patcher is gone.
    """
    patcher = getattr(network, PATCHER, None)
    if patcher is None:
        patcher = comfy.model_patcher.ModelPatcher(
            network,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
    if kept:
        setattr(network, PATCHER, patcher)
    comfy.model_management.load_models_gpu([patcher], memory_required=work_memory, force_full_load=True)
    patcher.model.to(patcher.load_device)  # with --novram, ComfyUI leaves modules that are not its own where they are
    yield patcher.model


def heed_precision() -> None:
    """Make networks compute in float32 on devices for which ComfyUI is told to (`--force-fp32`), or chooses to."""
    set_half_allowed(comfy.model_management.should_use_fp16)


def register_weights_folder() -> None:
    """Make ComfyUI list the safetensors files of models/hdrweave, and of folders that the user has given this key."""
    folder_paths.add_model_folder_path(WEIGHTS_FOLDER, str(own_weights_folder()))
    folder_paths.folder_names_and_paths[WEIGHTS_FOLDER][1].add(".safetensors")


def weights_files() -> list[str]:
    """Names of the files in the weights folders, as `models.registry.load` takes them."""
    return [Path(name).as_posix() for name in folder_paths.get_filename_list(WEIGHTS_FOLDER)]


def weights_folders() -> list[str]:
    return folder_paths.get_folder_paths(WEIGHTS_FOLDER)


def own_weights_folder() -> Path:
    """Where weights are written: in ComfyUI's models folder."""
    return Path(folder_paths.models_dir) / WEIGHTS_FOLDER
