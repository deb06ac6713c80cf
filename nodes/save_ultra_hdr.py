"""Save Ultra HDR JPEG."""

import folder_paths
from comfy_api.latest import io

from ..stages.output.look import BRIGHTNESS, LOOKS
from ..stages.output.save_ultra_hdr import WHICH, save_ultra_hdr
from .compat import known, progress_bar
from .ports import prefix_input, source_clip_input
from .preview import reported
from .wires import HDR, SAVE, rgb


class SaveUltraHDR(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_SaveUltraHDR",
            display_name="Save Ultra HDR JPEG",
            category=SAVE,
            description="Frames as JPEG stills that look right on every screen, and are HDR in phones and browsers that can show "
            "it (Ultra HDR, ISO 21496-1).",
            search_aliases=["ultra hdr", "gain map", "hdr jpeg", "hdr still", "poster", "iso 21496"],
            is_output_node=True,
            inputs=[
                io.Image.Input("hdr", tooltip=HDR),
                prefix_input("HDRWeave/still", "HDRWeave/still_v001/still.0012.jpg", "still_v002"),
                io.Combo.Input(
                    "frames",
                    options=list(WHICH),
                    default=WHICH[0],
                    tooltip="Which frames of the clip are written: the one in its middle, the first, the last, or all.",
                ),
                io.Combo.Input(
                    "look",
                    options=list(LOOKS),
                    default=LOOKS[0],
                    tooltip="Of the picture on ordinary screens, as in HDR Look. The HDR picture is the scene itself.",
                ),
                io.Float.Input(
                    "exposure",
                    default=0.0,
                    min=-20.0,
                    max=20.0,
                    step=0.1,
                    tooltip="Stops, for both pictures: above 0 is brighter.",
                ),
                io.Combo.Input(
                    "brightness",
                    options=list(BRIGHTNESS),
                    default=BRIGHTNESS[0],
                    tooltip="auto: the clip's mean light becomes middle grey. longest exposure: as bright as its frames (needs "
                    "exposures). radiance: as it comes, usually dark.",
                ),
                io.Float.Input(
                    "peak",
                    display_name="peak (cd/m2)",
                    default=1000.0,
                    min=203.0,
                    max=10000.0,
                    step=10.0,
                    tooltip="Luminance in cd/m2 to which highlights of the HDR picture are rolled off, where white is 203: 1000 "
                    "needs screens 2.3 stops brighter than white. Higher keeps more, lower suits phones.",
                ),
                io.Int.Input(
                    "quality",
                    default=95,
                    min=1,
                    max=100,
                    tooltip="Of JPEG: higher is better and larger; 95 is hard to tell apart.",
                ),
                source_clip_input(),
            ],
            outputs=[
                io.String.Output("first", display_name="first picture", tooltip="Path of the first file."),
                io.String.Output(
                    "summary",
                    display_name="summary",
                    tooltip="Where the pictures lie, and how many stops they go above white.",
                ),
            ],
        )

    @classmethod
    def execute(cls, hdr, prefix, frames, look, exposure, brightness, peak, quality, exposures=None) -> io.NodeOutput:
        report = save_ultra_hdr(
            rgb(hdr, "hdr"),
            folder_paths.get_output_directory(),
            prefix,
            which=frames,
            name=look,
            exposure=exposure,
            brightness=brightness,
            peak=peak,
            quality=quality,
            sequence=exposures,
            progress=progress_bar(),
        )
        ui = {"images": reported(report.paths), "text": (str(report),)}
        return io.NodeOutput(str(report.paths[0]), str(report), ui=ui)
