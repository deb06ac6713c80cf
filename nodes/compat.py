"""Bridges to the running ComfyUI: newer keywords, progress, device. Nothing else in the pack knows the engine's version."""

import inspect

import comfy.model_management
import comfy.utils


def known(cls, *args, **kwargs):
    """Call `cls`, dropping keywords that the running ComfyUI does not know yet (they would fail the whole pack)."""
    parameters = inspect.signature(cls.__init__).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return cls(*args, **kwargs)
    return cls(*args, **{k: v for k, v in kwargs.items() if k in parameters})


def progress_bar():
    """A stage's progress callback: moves the node's bar, and raises when the user pressed Cancel."""
    bar = comfy.utils.ProgressBar(1)

    def report(done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)

    return report


def device():
    """The device that ComfyUI wants networks and heavy tensor work on."""
    return comfy.model_management.get_torch_device()
