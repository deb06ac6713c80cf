"""Measure HDR."""

from comfy_api.latest import io

from ..stages.report.measure import SCALES, error_picture, measure, measure_text
from .compat import known, progress_bar
from .ports import frame_input
from .preview import shown
from .wires import CHECK, DISPLAY, HDR, Exposures, rgb


class MeasureHDR(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_MeasureHDR",
            display_name="Measure HDR",
            category=CHECK,
            description="PSNR and SSIM of an HDR sequence against a reference, in the mu-law and the linear domain.",
            search_aliases=["psnr", "ssim", "compare hdr", "metrics", "benchmark", "ground truth"],
            is_output_node=True,
            inputs=[
                io.Image.Input("hdr", tooltip=f"The result to measure. {HDR}"),
                io.Image.Input("reference", tooltip=f"The truth, or another result: same frames, same size. {HDR}"),
                io.Combo.Input(
                    "scale",
                    options=list(SCALES),
                    default=SCALES[0],
                    tooltip="As is: compare the values unchanged. Fit one gain per clip: first multiply the HDR by the one "
                    "factor that fits the reference best (least squares, linear, where the reference is below 0.99), for "
                    "results on another scale.",
                ),
                frame_input("Frame in the picture, from 0. -1 = the worst one by mu-law PSNR."),
                Exposures.Input(
                    "exposures",
                    optional=True,
                    tooltip="The clip that the HDR was made from: adds figures by exposure of the reference frames "
                    "and the published composite (captured frame pasted in where it is well exposed).",
                ),
            ],
            outputs=[
                io.String.Output("report", display_name="report", tooltip="All figures in sentences."),
                io.Float.Output(
                    "psnr_mu",
                    display_name="PSNR mu-law",
                    tooltip="dB, peak 1, mu = 5000, at most 100. Higher is better.",
                ),
                io.Float.Output(
                    "ssim_mu", display_name="SSIM mu-law", tooltip="7x7 uniform window, up to 1 = identical."
                ),
                io.Float.Output(
                    "psnr_linear", display_name="PSNR linear", tooltip="dB, peak 1, at most 100. Higher is better."
                ),
                io.Image.Output(
                    "picture",
                    display_name="picture",
                    tooltip=f"Result, reference and error of one frame side by side, mu-law. {DISPLAY}",
                ),
            ],
        )

    @classmethod
    def execute(cls, hdr, reference, scale, frame, exposures=None) -> io.NodeOutput:
        hdr, reference = rgb(hdr, "hdr"), rgb(reference, "reference")
        result = measure(hdr, reference, exposures, scale, progress_bar())
        report = measure_text(result)
        picture = error_picture(hdr, reference, result, frame)
        figures = (result.raw[name] for name in ("psnr_mu", "ssim_uniform7_mu", "psnr_linear"))
        return io.NodeOutput(report, *figures, picture, ui=shown(cls, picture, report))
