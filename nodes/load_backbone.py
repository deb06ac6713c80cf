"""Load Backbone and Anchors: video of one exposure, and frames of other exposures that extend its range (LoCAtion)."""

from dataclasses import replace
from math import log2

from comfy_api.latest import io

from ..hdr.anchors import AnchoredSequence
from ..hdr.response import RESPONSES
from ..models.lrhdr import INTERPOLATE
from ..stages.clip.normalize import normalize
from ..stages.runtime.networks import PACKAGED
from ..stages.systems.backbone import backbone_and_stills, from_exposures
from .compat import known, progress_bar
from .preview import middle, shown
from .weights import chosen_network
from .wires import LOAD, NORMALIZED, Anchored, Exposures

SPLIT = (
    f"{NORMALIZED} Its most frequent exposure, or the middle one, is the backbone, the others are anchors. What the "
    "backbone lacks at their times is interpolated along the flow."
)


def stills_inputs() -> list:
    """A backbone and its anchors as separate inputs, in place of one EXPOSURES."""
    return [
        io.Image.Input(
            "backbone",
            optional=True,
            tooltip="In place of exposures: a clip of one exposure, display-encoded as captured, in [0,1].",
        ),
        io.Image.Input(
            "low",
            optional=True,
            tooltip="For backbone: shorter exposures of the scene, as captured, in [0,1]. One still belongs to the middle "
            "of the clip, several to the middles of equal parts of it; as many stills as frames belong to one frame each.",
        ),
        io.Image.Input(
            "high", optional=True, tooltip="For backbone: longer exposures, as captured, in [0,1], like low."
        ),
        io.Float.Input(
            "low_ev",
            default=-2.0,
            min=-12.0,
            max=12.0,
            step=0.1,
            optional=True,
            tooltip="EV of low against the backbone; lower is darker: -2 = a quarter of the exposure.",
        ),
        io.Float.Input(
            "high_ev",
            default=2.0,
            min=-12.0,
            max=12.0,
            step=0.1,
            optional=True,
            tooltip="EV of high against the backbone; higher is brighter: 2 = four times the exposure.",
        ),
        io.Combo.Input(
            "response",
            options=list(RESPONSES),
            default="gamma2.2",
            optional=True,
            tooltip="For backbone: response curve of the backbone and its anchors. A clip of exposures has its own.",
        ),
    ]


def _times_input(which: str):
    return io.String.Input(
        f"{which}_times",
        default="",
        optional=True,
        tooltip=f"When the stills of {which} were taken, in frames of the backbone, 0 = with its first one: 2, 7.5, 12. "
        "Empty spreads them evenly over the clip.",
    )


class LoadBackboneAndAnchors(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_LoadBackboneAndAnchors",
            display_name="Load Backbone and Anchors",
            category=LOAD,
            description="A clip of one exposure and darker or brighter frames of the same scene, from separate images or "
            "from a clip of alternating exposures, as one anchored sequence for Collaborative Fusion.",
            search_aliases=["LoCAtion", "anchors", "backbone", "dual camera", "two cameras", "stills"],
            inputs=[
                Exposures.Input("exposures", optional=True, tooltip=SPLIT),
                *stills_inputs(),
                _times_input("low"),
                _times_input("high"),
            ],
            outputs=[
                Anchored.Output(
                    "anchored",
                    display_name="anchored sequence",
                    tooltip="Every frame of the clip in the backbone's exposure, and the anchors with their exposures "
                    "and times, for Collaborative Fusion.",
                ),
                io.String.Output("summary", display_name="summary", tooltip="What was loaded, with warnings."),
            ],
        )

    @classmethod
    def execute(
        cls, exposures=None, backbone=None, low=None, high=None, low_ev=-2.0, high_ev=2.0, response="gamma2.2",
        low_times="", high_times="",
    ) -> io.NodeOutput:  # fmt: skip
        given = ((low, low_ev, low_times), (high, high_ev, high_times))
        sequence = anchored_sequence(exposures, backbone, given, response)
        for which, (still, _, times) in zip(("low", "high"), given, strict=True):
            if times.strip() and still is None:
                unused = f"{which}_times is not used, as no {which} is connected"
                sequence = replace(sequence, warnings=(*sequence.warnings, unused))
        summary = summarised(sequence)
        return io.NodeOutput(sequence, summary, ui=shown(cls, middle(sequence.frames), summary))


def anchored_sequence(exposures, backbone, stills, response: str) -> AnchoredSequence:
    """The anchored sequence of whichever inputs are connected.

    exposures: an ExposureSequence or None. backbone: an IMAGE or None. stills: (IMAGE or None, EV, times as written) for
    each input of stills. Raises ValueError where not exactly one source is given, or its parts do not fit together.
    """

    if (exposures is None) == (backbone is None):
        given = "none" if exposures is None else "both"
        raise ValueError(f"of exposures and backbone, {given} are connected: connect one of them")
    stills = [(images, 2.0**ev, written) for images, ev, written in stills if images is not None]
    if backbone is not None:
        moments = [still_times(written, len(backbone), len(images)) for images, _, written in stills]
        return backbone_and_stills(backbone, 1.0, [still[:2] for still in stills], response, moments or None)
    if stills:
        raise ValueError("low or high is connected, but no backbone: connect it, or unlink them from this clip")
    clip = normalize(exposures)
    with chosen_network(INTERPOLATE, PACKAGED, clip.size, 3) as network:
        return from_exposures(clip, network, progress=progress_bar())


def still_times(written: str, frames: int, count: int) -> list[float]:
    """When `count` stills of a clip of `frames` frames were taken, in frames: the numbers in `written`, separated by commas or
    spaces; if it is empty, the middles of equal parts of the clip. Raises ValueError unless there are `count` numbers."""
    words = written.replace(",", " ").split()
    if not words:
        return [(k + 0.5) * frames / count - 0.5 for k in range(count)]
    try:
        times = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"the times {written!r} are no numbers: write frames of the backbone such as 2, 7.5") from None
    if len(times) != count:
        raise ValueError(f"{len(times)} times are written for {count} stills: write one for each, or none")
    return times


def summarised(sequence: AnchoredSequence) -> str:
    """Text about an anchored sequence: a line for the backbone, one for each exposure of anchors, warnings."""
    height, width = sequence.size
    lines = [f"backbone: {len(sequence)} frames, {width}x{height}"]
    for anchors in sequence.anchors:
        ev = log2(anchors.exposure / sequence.exposure)
        times = [f"{t:g}" for t in anchors.times[:8].tolist()]
        more = ", …" if len(anchors) > len(times) else ""
        lines.append(f"anchors at {ev:+.2f} EV: {len(anchors)}, at frames {', '.join(times)}{more}")
    return "\n".join([*lines, *sequence.warnings])
