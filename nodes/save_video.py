"""Save HDR Video."""

import folder_paths
import torch
from comfy_api.latest import InputImpl, io

from ..hdr.delivery import REFERENCE_WHITE
from ..hdr.io.hdr_video import FORMATS, TRANSFERS
from ..hdr.io.sound import Samples, samples
from ..stages.output.look import look
from ..stages.output.save import SCALES
from ..stages.output.save_video import save_video
from .compat import known, progress_bar
from .ports import fps_input, prefix_input
from .preview import reported, shown
from .wires import HDR, SAVE, Exposures, rgb


def _inputs() -> list:
    return [
        io.Image.Input("hdr", tooltip=HDR),
        prefix_input("HDRWeave/hdr", "HDRWeave/hdr_v001.mp4", "hdr_v002"),
        io.Combo.Input(
            "format",
            options=list(FORMATS),
            default=next(iter(FORMATS)),
            tooltip="HEVC is HDR10, for televisions and the web. AV1 is smaller and newer. ProRes 4444 is for editing and "
            "grading. FFV1 loses nothing and is largest.",
        ),
        io.Combo.Input(
            "transfer",
            options=list(TRANSFERS),
            default="PQ",
            tooltip="PQ holds up to 10000 cd/m2 and says how bright the clip is (HDR10). HLG ends at 1000 cd/m2 and looks "
            "right on SDR screens, too. Both in Rec.2020.",
        ),
        io.Float.Input(
            "reference_white",
            display_name="white (cd/m2)",
            default=REFERENCE_WHITE,
            min=1.0,
            max=10000.0,
            step=1.0,
            tooltip="Luminance in cd/m2 of 1.0 on the scale below: 203 is the broadcast recommendation for diffuse white. Higher "
            "is brighter.",
        ),
        io.Float.Input(
            "peak",
            display_name="peak (cd/m2)",
            default=1000.0,
            min=100.0,
            max=10000.0,
            step=10.0,
            tooltip="Peak luminance in cd/m2 of the display that the video is made for. Brighter highlights are rolled off to "
            "it; higher keeps more of them. 10000 changes none in PQ.",
        ),
        io.Float.Input(
            "exposure",
            default=0.0,
            min=-20.0,
            max=20.0,
            step=0.1,
            tooltip="Stops by which the picture is made brighter (above 0) or darker.",
        ),
        io.Int.Input(
            "crf",
            default=16,
            min=0,
            max=51,
            tooltip="Quality of HEVC and AV1: lower is better and larger; 16 is hard to tell from the original.",
        ),
        io.Combo.Input(
            "scale",
            options=list(SCALES),
            default=SCALES[0],
            tooltip="compositing: 1.0 is the white of the longest exposure (needs exposures). research: radiance as it is. auto: "
            "compositing where exposures are connected.",
        ),
        fps_input("Frames per second; 0 takes that of exposures, or 24."),
        io.String.Input(
            "timecode",
            default="",
            tooltip="Timecode of the first frame, such as 01:00:00:00; empty takes that of the clip's file.",
        ),
        Exposures.Input(
            "exposures",
            optional=True,
            tooltip="The clip that the frames came from: gives scale, primaries of the camera, frame rate, and sound and "
            "timecode of its video file.",
        ),
        io.Audio.Input(
            "audio",
            optional=True,
            tooltip="Sound to write in place of the clip's own; it is cut where the picture ends.",
        ),
    ]


class SaveHDRVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_SaveHDRVideo",
            display_name="Save HDR Video",
            category=SAVE,
            description="Scene-linear frames as one HDR video with sound in ComfyUI's output folder: PQ (HDR10) or HLG in HEVC "
            "or AV1, PQ or HLG in ProRes 4444 or FFV1. Connect exposures too: without them the picture is dark, silent and at "
            "24 frames a second.",
            search_aliases=["hdr10", "hlg", "pq", "hevc", "prores", "av1", "save video", "export hdr"],
            is_output_node=True,
            inputs=_inputs(),
            outputs=[
                io.Video.Output(
                    "video", display_name="video", tooltip="The file that was written, for ComfyUI's video nodes."
                ),
                io.String.Output("path", display_name="path", tooltip="Path of the file."),
                io.String.Output(
                    "summary",
                    display_name="summary",
                    tooltip="Size, luminance of white, MaxCLL and MaxFALL, and what was left out.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        hdr,
        prefix,
        format,
        transfer,
        reference_white,
        peak,
        exposure,
        crf,
        scale,
        fps,
        timecode,
        exposures=None,
        audio=None,
    ) -> io.NodeOutput:
        hdr = rgb(hdr, "hdr")
        sound, notes = (None, []) if audio is None else _samples(audio)
        report = save_video(
            hdr,
            folder_paths.get_output_directory(),
            prefix,
            file_format=format,
            transfer=transfer,
            reference_white=reference_white,
            peak=peak,
            exposure=exposure,
            crf=crf,
            scale=scale,
            fps=fps or None,
            timecode=timecode.strip(),
            sequence=exposures,
            sound=sound,
            progress=progress_bar(),
        )
        picture = look(hdr, sequence=exposures, even=False, frames=(len(hdr) // 2,))[0]
        path, summary = str(report.path), "\n".join([str(report), *notes])
        ui = shown(cls, picture, summary) | {"hdr_video": reported([report.path])}
        return io.NodeOutput(InputImpl.VideoFromFile(path), path, summary, ui=ui)


def _samples(audio: dict) -> tuple[Samples, list[str]]:
    """An AUDIO's first sound, and what of it is left out. Raises ValueError for what is none."""
    wave, rate = audio.get("waveform"), audio.get("sample_rate")
    if (
        not isinstance(wave, torch.Tensor)
        or wave.ndim != 3
        or 0 in wave.shape
        or not isinstance(rate, int)
        or rate <= 0
    ):
        raise ValueError("the audio is no sound: connect the AUDIO of a loader, or unlink it")
    sound = samples(wave[0].float().cpu().numpy(), rate)
    notes = [f"of the {len(wave)} sounds of audio the first is written"] if len(wave) > 1 else []
    if len(sound.waveform) < wave.shape[1]:
        notes.append(f"of the {wave.shape[1]} channels of audio the first two are written: 1, 2, 6 or 8 are kept")
    return sound, notes
