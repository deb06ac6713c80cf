"""Exposures of a clip, measured from its pixels: Detect Exposure Pattern, Exposure Check."""

from comfy_api.latest import io

from ..hdr.exposure_pattern import parse_pattern
from ..stages.clip.check import check_exposures
from ..stages.clip.detect import PERIODS, detect_pattern
from ..stages.clip.detection import LONGEST, apply_detection, as_declared, of_survey, overridden
from .compat import known, progress_bar
from .preview import shown
from .wires import CHECK, DISPLAY, Exposures


class DetectExposurePattern(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_DetectExposurePattern",
            display_name="Detect Exposure Pattern",
            category=CHECK,
            description="Measures exposure period, phase and ratio of a clip from its pixels; finds missing and repeated "
            "frames and corrects the exposures of later ones.",
            search_aliases=["exposure ratio", "phase", "dropped frames", "period", "hdr pattern", "ev"],
            inputs=[
                Exposures.Input(
                    "exposures", tooltip="The clip. Its declared exposures are not used for the measurement."
                ),
                io.Int.Input(
                    "period",
                    display_name="period (0 auto)",
                    default=0,
                    min=0,
                    max=5,
                    tooltip="Frames after which the exposures repeat, 2 to 5. 0 = detect. Give it when detection picks "
                    "a multiple or a divisor of the true one.",
                ),
                io.String.Input(
                    "pattern",
                    default="",
                    tooltip="Exposures of one period in the order of the frames, in place of the measured ones: EVs "
                    "(-3, 0; higher is brighter), factors (1x, 8x), times (1/500, 1/60), ISO speeds (100, 800) or gains "
                    "(0dB, 18dB). Its shortest exposure is assigned to the shortest frame found. Empty = measured.",
                ),
                io.Int.Input(
                    "phase",
                    display_name="phase (-1 auto)",
                    default=-1,
                    min=-1,
                    max=4,
                    tooltip="How many frames after a shortest exposure frame 0 lies: 0 = frame 0 is the shortest, 1 = it follows "
                    "the shortest, and so on. -1 = detect.",
                ),
            ],
            outputs=[
                Exposures.Output(
                    "corrected",
                    display_name="exposures",
                    tooltip="The clip with the exposure found on every frame, without repeated frames.",
                ),
                io.Int.Output(
                    "period_found", display_name="period", tooltip="Frames after which the exposure repeats."
                ),
                io.Int.Output(
                    "phase_found",
                    display_name="phase",
                    tooltip="How many frames after a shortest exposure frame 0 lies; 0 = it is the shortest.",
                ),
                io.Float.Output(
                    "ratio",
                    display_name="ratio",
                    tooltip="Measured step between neighbouring exposures in stops (1 = twice the light); the mean of "
                    "the steps where there are several.",
                ),
                io.Float.Output(
                    "confidence",
                    display_name="confidence",
                    tooltip="0 to 1. Above 0.8 is safe; below 0.5 check the clip with Exposure Check.",
                ),
                io.String.Output("report", display_name="report", tooltip="The findings in a few sentences."),
            ],
        )

    @classmethod
    def execute(cls, exposures, period=0, pattern="", phase=-1) -> io.NodeOutput:
        cycle = parse_pattern(pattern) if pattern.strip() else None
        if cycle and period and len(cycle) != period:
            raise ValueError(
                f"the pattern has {len(cycle)} exposures and period is {period}: make them agree, or set period to 0"
            )
        period = len(cycle) if cycle else period
        if period == 1 or period > LONGEST:
            raise ValueError(f"the period is {period}, expected 2 to {LONGEST} frames, or 0 to detect it")
        if exposures.survey is not None:
            return cls._surveyed(exposures, bool(period or cycle or phase >= 0))
        found = detect_pattern(exposures, progress_bar(), (period,) if period else PERIODS)
        if not cycle and exposures.period > 1 and (exposures.period > LONGEST or not found.alternates):
            found = as_declared(exposures, found)
        if cycle or phase >= 0:
            found = overridden(found, cycle, phase if phase >= 0 else None)
        return cls._output(apply_detection(exposures, found), found)

    @classmethod
    def _surveyed(cls, exposures, overridden: bool) -> io.NodeOutput:
        if overridden:
            raise ValueError(
                "the clip was loaded with a survey, which states its pattern: leave period, pattern and phase as they were, or "
                "load it without the survey"
            )
        return cls._output(exposures, of_survey(exposures))

    @classmethod
    def _output(cls, exposures, found) -> io.NodeOutput:
        ratio = sum(found.ratios) / len(found.ratios)
        return io.NodeOutput(
            exposures, found.period, found.phase, ratio, found.confidence, found.report, ui={"text": (found.report,)}
        )


class ExposureCheck(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_ExposureCheck",
            display_name="Exposure Check",
            category=CHECK,
            description="Compares the declared exposures, their order and the response curve of a clip with measurements from "
            "its pixels, and names the likely mistake. It never stops the graph.",
            search_aliases=["diagnose exposures", "wrong gamma", "linear or gamma", "ev check", "histogram"],
            is_output_node=True,
            inputs=[Exposures.Input("exposures", tooltip="The clip with its declared exposures and response.")],
            outputs=[
                io.String.Output("report", display_name="report", tooltip="The diagnosis in sentences, with figures."),
                io.Image.Output(
                    "picture",
                    display_name="picture",
                    tooltip="Brightness of the frames, exposure step against code value (flat where the response is "
                    f"right), histograms and the diagnosis, 960x540. {DISPLAY}",
                ),
            ],
        )

    @classmethod
    def execute(cls, exposures) -> io.NodeOutput:
        result = check_exposures(exposures, progress_bar())
        picture = result.picture[None]
        return io.NodeOutput(result.text, picture, ui=shown(cls, picture, result.text))
