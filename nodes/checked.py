"""Checks that ComfyUI does not make: input values against a node's schema, and error messages that cannot be sent.

The engine does not compare the choices of these nodes with their options, takes NaN for a number within any bounds, and checks
nothing that comes by a link; a message with a lone surrogate in it ends the engine's worker thread.
"""

import functools
import math

from comfy_api.latest import io

from ..hdr.io.checked_path import printable
from ..stages.runtime.check import chosen, number, text

MAX_TEXT = 100_000  # characters of a text
NOT_CHECKED = ("weights",)  # a file may be newer than the node's list of choices; the loader checks it


def checked(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node with an `execute` that checks its inputs against its schema first, and raises only messages that can be sent."""
    execute = node.execute.__func__
    if hasattr(execute, "__wrapped__"):  # the engine has asked for the list of nodes before
        return node

    @functools.wraps(execute)
    def run(cls, *args, **kwargs):
        try:
            check_inputs(cls.define_schema().inputs, kwargs)
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
        if entry.id not in values or (value is None and entry.optional):
            continue
        if isinstance(entry, io.Combo.Input) and entry.id not in NOT_CHECKED:
            chosen(entry.id, value, [getattr(option, "value", option) for option in entry.options])
        elif isinstance(entry, io.Int.Input | io.Float.Input):
            low = -math.inf if entry.min is None else entry.min
            number(entry.id, value, low, math.inf if entry.max is None else entry.max)
        elif isinstance(entry, io.String.Input):
            text(entry.id, value, MAX_TEXT)


def _can_be_sent(message: str) -> bool:
    try:
        message.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
