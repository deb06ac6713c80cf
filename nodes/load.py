"""Load Alternating Exposures and Load HDR Sequence."""

import os
from dataclasses import replace
from pathlib import Path

import folder_paths
from comfy_api.latest import InputImpl, io

from ..hdr.exposure_pattern import parse_pattern
from ..hdr.io.checked_path import printable
from ..hdr.response import RESPONSES
from ..hdr.survey import read_survey
from ..stages.clip import load
from ..stages.runtime.check import text
from ..stages.survey import part_of_source
from .compat import known, progress_bar
from .ports import count_input, fps_input, fps_output
from .preview import shown
from .wires import LOAD, Exposures

LUT_FILE = "LUT file"
MAX_PATH = 4096  # characters
NO_SOUND = "the sound of this VIDEO is not taken: connect its audio to Save HDR Video"
PATH = "absolute, or relative to ComfyUI's input folder"
SAMPLES = Path(__file__).parents[1] / "workflows" / "assets"  # so that the shipped workflows run as they are


def resolve(path: str) -> str:
    """A path that the user wrote: absolute, from the user's own folder (~), in ComfyUI's input folder, or a sample of the pack;
    empty stays empty."""
    path = text("path", path, MAX_PATH).strip().strip('"')
    if not path:
        return ""
    if path.startswith("~"):
        return path  # the reader knows the user's folder
    found = Path(folder_paths.get_annotated_filepath(path))
    return str(SAMPLES / path if not os.path.exists(found) and os.path.exists(SAMPLES / path) else found)


def _fingerprint(path) -> str:
    """A fingerprint of the files at a path; for an invalid path the error message, which the run then raises."""
    try:
        return load.fingerprint(resolve(path or ""))
    except ValueError as error:
        return printable(error)


def _widgets() -> list:
    """Inputs that the user sets on the node itself."""
    return [
        io.String.Input(
            "path",
            default="",
            tooltip=f"Video file or image sequence (png, tiff, jpg, exr, dng …), {PATH}. A sequence is a folder, a "
            "name with #### or %04d, or any one of its frames. Leave empty when a video or images are "
            "connected.",
        ),
        io.String.Input(
            "pattern",
            default="auto",
            tooltip="Exposures of the frames of one period, in order: EVs (-3,0: higher is brighter), factors (1x,8x or 1:8), "
            "times (1/500,1/60 or 2ms,16ms), ISO speeds (ISO 100,800) or gains (0dB,18dB). auto takes those that the files "
            "state, or measures them from the pixels.",
        ),
        io.Combo.Input(
            "response",
            options=[*RESPONSES, load.ESTIMATE, LUT_FILE],
            default="gamma2.2",
            tooltip="Response curve from light to code values: gamma2.2 for most delivered video, a log curve for log "
            "footage, linear for linear EXR. estimate solves for it from static pixels and needs the pattern; LUT file "
            "reads lut.",
        ),
        known(
            io.String.Input,
            "lut",
            advanced=True,
            default="",
            tooltip=f"Only for response = LUT file: a .cube (1-D), .csv, .txt or .npy curve from code value to "
            f"linear light, {PATH}.",
        ),
        io.Int.Input(
            "start",
            default=0,
            min=0,
            max=10**7,
            tooltip="Frames to skip at the beginning. A given pattern starts at the first frame that is loaded.",
        ),
        count_input("Frames to load; 0 loads all. Lower is quicker."),
        fps_input("Frames per second, for the metadata of saved files; 0 = that of the source, or 24."),
    ]


def _optional_inputs() -> list:
    """Connected sources, and settings of later releases."""
    return [
        io.Video.Input(
            "video", optional=True, tooltip="A VIDEO in place of path (Load Video uploads one); keeps 10 bit."
        ),
        io.Image.Input(
            "images",
            optional=True,
            tooltip="Frames in place of path, display-encoded as captured, in [0,1]: one interleaved clip, or "
            "the first of parallel streams.",
        ),
        io.Image.Input(
            "stream_2",
            optional=True,
            tooltip="Second parallel stream, in [0,1], as captured: same length and size; frame k of all "
            "streams was taken at the same time. Every stream gets start and count.",
        ),
        io.Image.Input(
            "stream_3", optional=True, tooltip="Third parallel stream, in [0,1], as captured, like stream_2."
        ),
        known(
            io.Boolean.Input,
            "holes",
            advanced=True,
            default=False,
            optional=True,
            tooltip="On: missing numbers of an image sequence are dropped frames; a written pattern counts them, auto "
            "detects them. Off: missing numbers are an error.",
        ),
        known(
            io.Float.Input,
            "white_level",
            display_name="white (0 auto)",
            advanced=True,
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.0001,
            optional=True,
            tooltip="Code value at which the sensor clips, as a share of the largest code: 0.866 for code 886 of 10 bit, "
            "0.0625 for 12 bit that lie unshifted in 16. 0 finds it where pixels pile up below white; 1 changes nothing.",
        ),
        io.Combo.Input(
            "gamut",
            options=list(load.GAMUT_CHOICES),
            default=load.GAMUT_CHOICES[0],
            optional=True,
            tooltip="Primaries of the camera. They are kept until a node of HDRWeave shows or saves the result with exposures "
            "connected. auto takes those that the file states, Rec.709 where it states none.",
        ),
        io.String.Input(
            "survey",
            default="",
            optional=True,
            tooltip=f"File of Save Survey, {PATH}: its estimates from the whole clip are used, nothing is estimated again, and "
            "a part of the clip agrees with the whole. Pattern, response, lut, white, gamut and holes are those of the "
            "survey. Empty: none.",
        ),
    ]


class LoadAlternatingExposures(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_LoadAlternatingExposures",
            display_name="Load Alternating Exposures",
            category=LOAD,
            description="A clip whose frames alternate between short and long exposures, from a video file, an image "
            "sequence, a VIDEO, images, or two to three parallel streams. Reconstruct HDR comes next.",
            search_aliases=[
                "load video",
                "hdr video",
                "bracketed video",
                "exposure bracketing",
                "load exposures",
                "image sequence",
            ],
            inputs=_widgets() + _optional_inputs(),
            outputs=[
                Exposures.Output(
                    "exposures",
                    display_name="exposures",
                    tooltip="The frames as captured, with exposure, response and frame rate.",
                ),
                io.String.Output("summary", display_name="summary", tooltip="What was loaded, with warnings."),
                fps_output(),
            ],
        )

    @classmethod
    def validate_inputs(cls, pattern):
        try:
            parse_pattern(pattern or "auto")
        except ValueError as error:
            return printable(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, path="", lut="", survey="", **_):
        return _fingerprint(path) + _fingerprint(lut) + _fingerprint(survey)

    @classmethod
    def execute(
        cls,
        path,
        pattern,
        response,
        lut,
        start,
        count,
        fps,
        video=None,
        images=None,
        stream_2=None,
        stream_3=None,
        holes=False,
        white_level=0.0,
        gamut="auto",
        survey="",
    ) -> io.NodeOutput:
        progress = progress_bar()
        if survey.strip():
            other_sources = {"video": video, "stream_2": stream_2, "stream_3": stream_3}
            connected = [name for name, source in other_sources.items() if source is not None]
            if connected:
                raise ValueError(f"a survey is of path or images: unlink {', '.join(connected)}, or leave survey empty")
            found = read_survey(resolve(survey))
            return cls._loaded(part_of_source(found, resolve(path), images, start, count, fps or None, progress))
        parse_pattern(pattern)  # before minutes of reading
        clips = [_first_clip(resolve(path), video, images, start, count, fps, holes, progress, response)]
        for name, stream in (("stream_2", stream_2), ("stream_3", stream_3)):
            if stream is not None:
                clips.append(load.image_clip(stream, start, count, fps, name, progress))
        period = len(clips) if len(clips) > 1 else None
        clip = load.interleave(clips, response) if period else clips[0]
        curve = response
        if response == LUT_FILE:
            if not lut.strip():
                raise ValueError("response is LUT file but lut is empty: write the path of the curve")
            curve = resolve(lut)
        sequence = load.expose(clip, pattern, curve, progress, period, white_level, gamut)
        if lut.strip() and response != LUT_FILE:
            unused = f"lut is not used, as response is {response}: choose {LUT_FILE} to read it"
            sequence = sequence.with_(warnings=(*sequence.warnings, unused))
        return cls._loaded(sequence)

    @classmethod
    def _loaded(cls, sequence) -> io.NodeOutput:
        summary = load.describe(sequence)
        return io.NodeOutput(
            sequence, summary, float(sequence.fps), ui=shown(cls, sequence.frames[: max(sequence.period, 2)], summary)
        )


def _first_clip(path, video, images, start, count, fps, holes, progress, response) -> load.Clip:
    """The clip from whichever of path, video and images is given."""
    sources = {"path": path or None, "video": video, "images": images}
    given = [name for name, source in sources.items() if source is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ValueError(
            f"sources given: {found}, one is expected: write a path, or connect a video, or connect images"
        )
    if path:
        return load.read_clip(path, start, count, fps, progress, holes=holes, response=response)
    if images is not None:
        return load.image_clip(images, start, count, fps, progress=progress)
    edited = getattr(video, "has_pending_frame_edits", bool)()  # ComfyUI has edits since 0.4, trimming among them
    if edited or isinstance(video, InputImpl.VideoFromComponents):  # as a stream it would be compressed once more
        parts = video.get_components()
        clip = load.image_clip(parts.images, start, count, fps or parts.frame_rate, "video", progress)
        return clip if parts.audio is None else replace(clip, warnings=(*clip.warnings, NO_SOUND))
    part = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    return load.read_clip(video.get_stream_source(), start, count, fps, progress, part, response=response)


class LoadHDRSequence(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_LoadHDRSequence",
            display_name="Load HDR Sequence",
            category=LOAD,
            description="Scene-linear frames from an OpenEXR or Radiance .hdr sequence: a reference for Measure HDR, "
            "or another program's result.",
            search_aliases=["load exr", "exr sequence", "read exr"],
            inputs=[
                io.String.Input(
                    "path",
                    default="",
                    tooltip=f"Folder, name with #### or %04d, or any one frame of the sequence, {PATH}. Save HDR "
                    "Sequence gives the path of its first frame.",
                ),
                io.Int.Input("start", default=0, min=0, max=10**7, tooltip="Frames to skip at the beginning."),
                count_input("Frames to load; 0 loads all."),
                io.Float.Input(
                    "gain",
                    default=1.0,
                    min=1e-6,
                    max=1e6,
                    step=0.001,
                    tooltip="Every value is multiplied by it: higher is brighter. For frames saved on the compositing "
                    "scale of a 3-stop clip, 0.125 returns to radiance.",
                ),
                io.String.Input(
                    "layer",
                    default="",
                    optional=True,
                    tooltip="Of EXR files: the name of a part, a view (left, right) or a layer to read. Empty reads the first "
                    "part with colour.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "hdr", display_name="hdr", tooltip="Scene-linear, as in the files times gain, never clamped."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, path="", **_):
        return _fingerprint(path)

    @classmethod
    def execute(cls, path, start, count, gain, layer="") -> io.NodeOutput:
        if not path.strip():
            raise ValueError("no path is given: write the path of a frame of the sequence")
        return io.NodeOutput(load.load_hdr(resolve(path), start, count, gain, progress_bar(), layer))
