"""Inputs and outputs that several nodes have in common. Their ids and their order at a node are fixed once a node is released
(tests/nodes/schema_snapshot.json)."""

from comfy_api.latest import io

from ..stages.clip.wrong_pattern import CHOICES, STOP
from .wires import HDR, Exposures, Flow

LAST_FRAME = 10_000_000


def flow_input():
    return Flow.Input("flow", tooltip="Flow that was made from this clip, with or without adapter.")


def wrong_pattern_input():
    """What a node does before its long computation when the pixels contradict the exposure pattern."""
    return io.Combo.Input(
        "wrong_pattern",
        options=list(CHOICES),
        default=STOP,
        optional=True,
        tooltip="What to do when the pixels contradict the exposure pattern: stop before the long work, with what is wrong, or "
        "go on with the pattern as it is.",
    )


def frame_input(tooltip: str):
    """Number of the frame in a report's picture; -1 is a choice of the node."""
    return io.Int.Input("frame", display_name="frame (-1 auto)", default=-1, min=-1, max=LAST_FRAME, tooltip=tooltip)


def count_input(tooltip: str):
    return io.Int.Input("count", display_name="count (0 all)", default=0, min=0, max=LAST_FRAME, tooltip=tooltip)


def fps_input(tooltip: str):
    return io.Float.Input(
        "fps", display_name="fps (0 auto)", default=0.0, min=0.0, max=1000.0, step=0.001, tooltip=tooltip
    )


def prefix_input(default: str, written: str, next_run: str):
    """Where a node saves. written, next_run: what `default` becomes in the first run and in the next."""
    return io.String.Input(
        "prefix",
        default=default,
        tooltip=f"Folder and name inside ComfyUI's output folder: {default} becomes {written}; the next run writes {next_run}. "
        "Nothing is overwritten.",
    )


def source_clip_input():
    """The clip behind frames that are shown or saved with a look."""
    return Exposures.Input(
        "exposures",
        optional=True,
        tooltip="The clip that the frames came from: gives the camera's primaries and the longest exposure. Without it, frames "
        "count as Rec.709.",
    )


def hdr_output():
    return io.Image.Output("hdr", display_name="hdr", tooltip=f"One frame for every frame of the clip. {HDR}")


def refined_output():
    return io.Image.Output("refined", display_name="hdr", tooltip=f"The refined result, in [0,1]. {HDR}")


def fps_output():
    return io.Float.Output("rate", display_name="fps", tooltip="Frames per second of the clip, for Create Video.")
