"""Checks that ComfyUI does not make: input values against a node's schema, and error messages that cannot be sent.

The engine does not compare the choices of these nodes with their options, takes NaN for a number within any bounds, checks
nothing that comes by a link, and passes any value on that a file gives in place of one; a message with a lone surrogate in it
ends the engine's worker thread.
"""

import functools
import math
from collections.abc import Mapping

import torch
from comfy_api.latest import io

from ..hdr.anchors import AnchoredSequence
from ..hdr.io.checked_path import printable
from ..hdr.sequence import CandidateSet, ExposureSequence, FlowField
from ..stages.runtime.check import chosen, number, text, whole
from ..stages.runtime.networks import OwnNetwork
from ..stages.runtime.torch_settings import default_torch_settings

WIRES = {
    "HDRWEAVE_EXPOSURES": ExposureSequence,
    "HDRWEAVE_ANCHORED": AnchoredSequence,
    "HDRWEAVE_FLOW": FlowField,
    "HDRWEAVE_CANDIDATES": CandidateSet,
    "HDRWEAVE_MODEL": OwnNetwork,
    "IMAGE": torch.Tensor,
    "MASK": torch.Tensor,
    "AUDIO": Mapping,  # of other packs it may be another mapping than a dict
}
WIDGETS = (io.Combo.Input, io.String.Input, io.Int.Input, io.Float.Input, io.Boolean.Input)
MAX_TEXT = 100_000  # characters of a text
NOT_CHECKED = ("weights",)  # a file may be newer than the node's list of choices; the loader checks it


def checked(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node with an `execute` that checks its inputs against its schema first, computes with PyTorch's default settings, and
    raises only messages that can be sent."""
    execute = node.execute.__func__
    if hasattr(execute, "__wrapped__"):  # the engine has asked for the list of nodes before
        return node

    @functools.wraps(execute)
    def run(cls, *args, **kwargs):
        try:
            check_inputs(cls.define_schema().inputs, kwargs)
            with default_torch_settings():
                return execute(cls, *args, **kwargs)
        except Exception as error:
            if _can_be_sent(str(error)):
                raise
            message = printable(error)
        raise ValueError(message)

    node.execute = classmethod(run)
    return node


def check_inputs(inputs, values: dict) -> None:
    """Raises ValueError with one sentence for the first value that its input does not allow."""
    for entry in inputs:
        value = values.get(entry.id)
        if entry.id not in values or (value is None and entry.optional and not isinstance(entry, WIDGETS)):
            continue
        if isinstance(entry, io.Combo.Input) and entry.id not in NOT_CHECKED:
            chosen(entry.id, value, [getattr(option, "value", option) for option in entry.options])
        elif isinstance(entry, io.Int.Input | io.Float.Input):
            low = -math.inf if entry.min is None else entry.min
            check = whole if isinstance(entry, io.Int.Input) else number
            check(entry.id, value, low, math.inf if entry.max is None else entry.max)
        elif isinstance(entry, io.String.Input | io.Combo.Input):
            text(entry.id, value, MAX_TEXT)
        elif isinstance(entry, io.Boolean.Input) and not isinstance(value, bool):
            raise ValueError(f"{entry.id} is {printable(repr(value))[:100]}: give true or false")
        else:
            _check_wire(entry, value)


def _check_wire(entry, value) -> None:
    """Raises ValueError for a value that no output which fits this input gives."""
    kinds = [WIRES[name] for name in entry.get_io_type().split(",") if name in WIRES]
    plain = not isinstance(value, torch.Tensor) or (value.layout is torch.strided and not value.is_complex())
    if kinds and not (isinstance(value, tuple(kinds)) and plain):
        raise ValueError(
            f"{entry.id} is {printable(repr(value))[:100]}: connect an output of the type {entry.get_io_type()}"
        )


def _can_be_sent(message: str) -> bool:
    try:
        message.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
