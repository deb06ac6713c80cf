"""Visual reports: Exposure Strip, Flow View, Recovery Report."""

from comfy_api.latest import io

from ..stages.report.exposure_strip import exposure_strip, parse_evs
from ..stages.report.flow import view_flow
from ..stages.report.recovery import recovery
from ..stages.report.recovery_view import recovery_picture, recovery_text
from .compat import known, progress_bar
from .ports import frame_input
from .preview import middle, shown
from .wires import CHECK, DISPLAY, HDR, LOOK, Candidates, Exposures, Flow, rgb


class ExposureStrip(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_ExposureStrip",
            display_name="Exposure Strip",
            category=LOOK,
            description="Shows HDR frames from far under- to far overexposed side by side: one frame, or a contact "
            "sheet.",
            search_aliases=["contact sheet", "bracket preview", "ev strip", "hdr preview"],
            is_output_node=True,
            inputs=[
                io.Image.Input("hdr", tooltip=HDR),
                io.String.Input(
                    "evs",
                    default="-4, -2, 0, 2, 4",
                    tooltip="The columns: exposures in EV, higher is brighter. EV 0 shows the white of the longest "
                    "exposure as white when exposures are connected, else radiance 1.0. 1 to 12 figures.",
                ),
                frame_input("Frame to show, from 0. -1 = a contact sheet of frames spread through the clip."),
                io.Int.Input(
                    "rows",
                    default=4,
                    min=1,
                    max=16,
                    tooltip="Frames on the contact sheet, 1 to 16. More gives a taller picture. Used when frame is -1.",
                ),
                io.Int.Input(
                    "width",
                    default=1600,
                    min=320,
                    max=8192,
                    step=16,
                    tooltip="Width of the picture in pixels. Larger shows more detail and larger text.",
                ),
                Exposures.Input(
                    "exposures",
                    optional=True,
                    tooltip="The exposures that the HDR was made from: adds the frames as captured as the first "
                    "column, and places EV 0 at the longest exposure.",
                ),
            ],
            outputs=[io.Image.Output("strip", display_name="strip", tooltip=f"One picture. {DISPLAY}")],
        )

    @classmethod
    def execute(cls, hdr, evs, frame, rows, width, exposures=None) -> io.NodeOutput:
        strip = exposure_strip(rgb(hdr, "hdr"), parse_evs(evs), exposures, frame, rows, width)
        return io.NodeOutput(strip, ui=shown(cls, strip, ""))


class FlowView(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_FlowView",
            display_name="Flow View",
            category=LOOK,
            description="Optical flow as colours: hue is the direction, saturation is the speed, white is no motion.",
            search_aliases=["optical flow visualization", "flow to image", "motion vectors", "middlebury"],
            is_output_node=True,
            inputs=[
                Flow.Input("flow", tooltip="Flow from every frame to its neighbours."),
                io.Int.Input(
                    "offset",
                    default=1,
                    min=-16,
                    max=16,
                    tooltip="Which neighbour: 1 = the motion towards the next frame, -1 = towards the previous one; "
                    "with three exposures also 2 and -2.",
                ),
                io.Float.Input(
                    "max_speed",
                    display_name="speed (0 auto)",
                    default=0.0,
                    min=0.0,
                    max=10000.0,
                    step=0.1,
                    tooltip="Speed that gets full colour, in pixels per frame step. Lower makes slow motion visible; faster "
                    "pixels turn darker. 0 = automatic, the 99th percentile of the clip.",
                ),
                io.Boolean.Input(
                    "dim_by_confidence",
                    default=False,
                    tooltip="On: pixels are darkened where the confidence of the flow is low. Off: colours alone.",
                ),
                io.Boolean.Input(
                    "legend",
                    default=True,
                    tooltip="On: draws the colour wheel and the speed of full colour into the lower left corner.",
                ),
            ],
            outputs=[
                io.Image.Output("picture", display_name="picture", tooltip=f"One picture per frame. {DISPLAY}"),
                io.Mask.Output(
                    "confidence",
                    display_name="confidence",
                    tooltip="1 = forward and backward flow agree; 0.05 (the minimum) = occluded, or outside the frame.",
                ),
            ],
        )

    @classmethod
    def execute(cls, flow, offset, max_speed, dim_by_confidence, legend) -> io.NodeOutput:
        pictures, confidence = view_flow(flow, offset, max_speed, dim_by_confidence, legend, progress_bar())
        return io.NodeOutput(pictures, confidence, ui=shown(cls, middle(pictures), ""))


class RecoveryReport(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_RecoveryReport",
            display_name="Recovery Report",
            category=CHECK,
            description="Share of the clipped and noisy pixels of each frame that were recovered, verified against other "
            "exposures.",
            search_aliases=["hdr check", "clipping report", "fake hdr", "highlight recovery", "flicker"],
            is_output_node=True,
            inputs=[
                Exposures.Input("exposures", tooltip="The clip as captured, the one that the HDR was made from."),
                io.Image.Input("hdr", tooltip=f"The result to evaluate. {HDR}"),
                frame_input("Frame in the picture, from 0. -1 = the one with the most clipped and noisy pixels."),
                Candidates.Input(
                    "candidates",
                    optional=True,
                    tooltip="The candidates that the HDR was merged from (warped neighbours). Needed to verify recovered "
                    "pixels; without them the report only counts changed ones.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "report", display_name="report", tooltip="The figures in sentences, by exposure and overall."
                ),
                io.Image.Output(
                    "picture",
                    display_name="picture",
                    tooltip=f"One frame with the recovered areas in colour, and all frames as bars. {DISPLAY}",
                ),
                io.Mask.Output(
                    "recovered",
                    display_name="recovered",
                    tooltip="1 where a clipped or noisy pixel was filled by another exposure, else 0; one mask per frame.",
                ),
            ],
        )

    @classmethod
    def execute(cls, exposures, hdr, frame, candidates=None) -> io.NodeOutput:
        hdr = rgb(hdr, "hdr")
        result = recovery(exposures, hdr, candidates, progress_bar())
        picture = recovery_picture(exposures, hdr, candidates, result, frame)
        report = recovery_text(result)
        return io.NodeOutput(report, picture, result.filled, ui=shown(cls, picture, report))
