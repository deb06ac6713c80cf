"""HDR Look."""

import math

from comfy_api.latest import io

from ..stages.output.look import BRIGHTNESS, LOOKS
from ..stages.output.look import look as display_encoded
from .compat import known, progress_bar
from .ports import source_clip_input
from .preview import middle, shown
from .wires import DISPLAY, HDR, LOOK, rgb


def _number(name: str, default: float, low: float, high: float, tooltip: str, step: float = 0.05):
    return io.Float.Input(name, default=default, min=low, max=high, step=step, tooltip=tooltip)


class Look(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_Look",
            display_name="HDR Look",
            category=LOOK,
            description="Scene-linear HDR frames as pictures for an ordinary screen, for videos to watch and stills: a filmic "
            "look with exposure, contrast, saturation and highlight roll-off.",
            search_aliases=["tone map", "tone mapping", "agx", "filmic", "aces", "hdr to sdr", "preview hdr", "grade"],
            inputs=[
                io.Image.Input("hdr", tooltip=HDR),
                io.Combo.Input(
                    "look",
                    options=list(LOOKS),
                    default=LOOKS[0],
                    tooltip="AgX: film-like, soft highlights, bright colours fade to white. PBR Neutral: true colours. Hable: "
                    "flat and filmic. ACES: contrasty. local: evens out light and shade and keeps detail.",
                ),
                _number("exposure", 0, -20, 20, "Stops, -20 to 20: above 0 is brighter, below darker.", 0.1),
                _number(
                    "contrast", 1, 0.1, 4, "Around middle grey: 1 as the look is, higher is stronger, lower flatter."
                ),
                _number("saturation", 1, 0, 4, "Of colours: 1 as they are, 0 is black and white, higher is stronger."),
                _number(
                    "roll_off",
                    0,
                    0,
                    0.95,
                    "Share of the stops above middle grey that is taken away before the look, 0 to 0.95: higher keeps more "
                    "detail in the highlights and makes them flatter.",
                ),
                io.Combo.Input(
                    "brightness",
                    options=list(BRIGHTNESS),
                    default=BRIGHTNESS[0],
                    tooltip="auto: the clip's mean light becomes middle grey, once for the clip, so that nothing flickers. "
                    "longest exposure: as bright as its frames (needs exposures). radiance: as it comes, usually dark.",
                ),
                io.Boolean.Input(
                    "even_size",
                    default=True,
                    tooltip="Leave out the last column or row of an odd size, which Save Video refuses. Even sizes stay.",
                ),
                source_clip_input(),
            ],
            outputs=[io.Image.Output("display", display_name="image", tooltip=f"One picture per frame. {DISPLAY}")],
        )

    @classmethod
    def execute(
        cls, hdr, look, exposure, contrast, saturation, roll_off, brightness, even_size, exposures=None
    ) -> io.NodeOutput:
        display, gain = display_encoded(
            rgb(hdr, "hdr"),
            name=look,
            exposure=exposure,
            contrast=contrast,
            saturation=saturation,
            roll_off=roll_off,
            brightness=brightness,
            sequence=exposures,
            even=even_size,
            progress=progress_bar(),
        )
        text = f"Radiance times {gain:.4g} ({math.log2(gain):+.2f} EV), then {look}."
        return io.NodeOutput(display, ui=shown(cls, middle(display), text))
