"""Mu-Law Tonemap."""

from comfy_api.latest import io

from ..stages.output.tonemap import automatic_peak, inverse_tonemap, tonemap
from .compat import known, progress_bar
from .preview import middle, shown
from .wires import LOOK, rgb

TO_DISPLAY, TO_HDR = "HDR to display", "display to HDR"


class MuLawTonemap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_MuLawTonemap",
            display_name="Mu-Law Tonemap",
            category=LOOK,
            description="Compresses scene-linear HDR frames for viewing with the mu-law of the HDR literature, or "
            "undoes it.",
            search_aliases=["tone mapping", "mu law", "hdr to sdr", "inverse tonemap", "hdr preview"],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="HDR to display: scene-linear Rec.709, values above 1 allowed. Display to HDR: frames "
                    "in [0,1] that this node made.",
                ),
                io.Combo.Input(
                    "direction",
                    options=[TO_DISPLAY, TO_HDR],
                    default=TO_DISPLAY,
                    tooltip="HDR to display compresses for Preview, Save Image and video. Display to HDR is the "
                    "inverse: use the same mu and peak; what was clipped to white stays at the peak.",
                ),
                io.Float.Input(
                    "mu",
                    default=5000.0,
                    min=1.0,
                    max=50000.0,
                    step=1.0,
                    tooltip="Strength, 1 to 50000. Higher lifts the shadows and flattens contrast, lower is closer "
                    "to linear. The literature uses 5000.",
                ),
                io.Float.Input(
                    "peak",
                    display_name="peak (0 auto)",
                    default=1.0,
                    min=0.0,
                    max=100000.0,
                    step=0.01,
                    tooltip="Radiance shown as white. 1 = where the shortest exposure clips (the literature's "
                    "convention); lower is brighter and burns out more, higher is darker and keeps more highlights. "
                    "0 = automatic: the 99.9th percentile, measured once for the clip so that nothing flickers (HDR "
                    "to display only).",
                ),
                io.Boolean.Input(
                    "even_size",
                    default=True,
                    tooltip="Leave out the last column or row of frames with an odd width or height, which Save Video "
                    "refuses: h264 needs even ones. Even sizes stay as they are. HDR to display only.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "result",
                    display_name="image",
                    tooltip="HDR to display: encoded, in [0,1], for Preview and Save Image. Display to HDR: "
                    "scene-linear.",
                )
            ],
        )

    @classmethod
    def execute(cls, image, direction, mu, peak, even_size=False) -> io.NodeOutput:
        image = rgb(image, "image")
        if direction == TO_HDR:
            if peak == 0:
                raise ValueError(
                    "peak 0 (automatic) cannot be undone: give the peak that the display frames were made with"
                )
            return io.NodeOutput(inverse_tonemap(image, mu, peak, progress_bar()))
        peak = peak or automatic_peak(image)
        display = tonemap(image, mu, peak, progress_bar(), even_size)
        return io.NodeOutput(display, ui=shown(cls, middle(display), f"Radiance {peak:.4g} is shown as white."))
