"""Save HDR Sequence."""

import json

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import io

from ..hdr.gamut import WRITTEN
from ..hdr.io.exr import COMPRESSIONS
from ..stages.output.look import look
from ..stages.output.save import FORMATS, SCALES, save_sequence
from .compat import known, progress_bar
from .ports import fps_input, prefix_input
from .preview import reported, shown
from .wires import HDR, SAVE, Exposures, grey, rgb


def _inputs() -> list:
    return [
        io.Image.Input("hdr", tooltip=HDR),
        prefix_input("HDRWeave/hdr", "HDRWeave/hdr_v001/hdr.1001.exr", "hdr_v002"),
        io.Combo.Input(
            "format",
            options=list(FORMATS),
            default=FORMATS[0],
            tooltip="exr half: 16-bit float up to 65504, the usual choice. exr float: 32 bit, twice the size. "
            "hdr: Radiance, about 1 % steps, no negative values, no metadata.",
        ),
        known(
            io.Combo.Input,
            "compression",
            advanced=True,
            options=list(COMPRESSIONS),
            default=COMPRESSIONS[0],
            tooltip="Of exr. ZIP and PIZ lose nothing (PIZ suits grain), DWAA is smallest and loses a little, "
            "none is quickest and largest.",
        ),
        io.Combo.Input(
            "scale",
            options=list(SCALES),
            default=SCALES[0],
            tooltip="compositing: 1.0 is the white of the longest exposure, highlights lie above (needs "
            "exposures). research: radiance as it is, 1.0 is where the shortest exposure clips. auto: compositing where "
            "exposures are connected.",
        ),
        io.Int.Input("start", default=1001, min=0, max=10**7, tooltip="Number of the first file."),
        io.Int.Input(
            "padding", default=4, min=1, max=9, tooltip="Digits of the file numbers; higher adds leading zeros."
        ),
        fps_input("Frames per second in the metadata; 0 takes that of exposures, or leaves it out."),
        Exposures.Input(
            "exposures",
            optional=True,
            tooltip="The clip that the frames came from: gives the compositing scale, the camera's primaries, frame rate and "
            "metadata.",
        ),
        io.Combo.Input(
            "gamut",
            options=list(WRITTEN),
            default=WRITTEN[0],
            optional=True,
            tooltip="Primaries to write; stated in the header. Frames are converted from those of exposures, or from Rec.709. "
            "ACEScg for compositing in ACES, ACES AP0 for exchange. hdr files hold Rec.709 only.",
        ),
        io.Image.Input(
            "vote",
            optional=True,
            tooltip="Written as the layer vote of every EXR: Sparse Fusion's vote map, without its legend.",
        ),
        io.Mask.Input(
            "motion_mask",
            optional=True,
            tooltip="Written as the layer motion_mask (its channel A), in [0,1], such as that of Physical Motion Mask.",
        ),
        io.Mask.Input(
            "confidence",
            optional=True,
            tooltip="Written as the layer confidence (its channel A), in [0,1], such as that of Flow View.",
        ),
    ]


class SaveHDRSequence(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_SaveHDRSequence",
            display_name="Save HDR Sequence",
            category=SAVE,
            description="Scene-linear frames as an OpenEXR or Radiance .hdr sequence in ComfyUI's output folder, each "
            "run in a new version folder. Connect exposures too: without them the file is dark, 1.0 being where the shortest "
            "exposure clips, and colours count as Rec.709.",
            search_aliases=["save exr", "openexr", "export hdr", "write exr"],
            is_output_node=True,
            inputs=_inputs(),
            outputs=[
                io.String.Output(
                    "first_frame", display_name="first frame", tooltip="Path of the first file, for Load HDR Sequence."
                ),
                io.String.Output(
                    "summary",
                    display_name="summary",
                    tooltip="Where the frames lie, and counts of clamped and NaN values.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        hdr,
        prefix,
        format,
        compression,
        scale,
        start,
        padding,
        fps,
        exposures=None,
        gamut="Rec.709",
        vote=None,
        motion_mask=None,
        confidence=None,
    ) -> io.NodeOutput:
        hdr = rgb(hdr, "hdr")
        layers = {
            "vote": None if vote is None else rgb(vote, "vote")[:, : hdr.shape[1]],  # without the legend below
            "motion_mask": None if motion_mask is None else grey(motion_mask, "motion_mask"),
            "confidence": None if confidence is None else grey(confidence, "confidence"),
        }
        report = save_sequence(
            hdr,
            folder_paths.get_output_directory(),
            prefix,
            file_format=format,
            compression=compression,
            scale=scale,
            sequence=exposures,
            start=start,
            padding=padding,
            fps=fps or None,
            metadata=_metadata(cls),
            progress=progress_bar(),
            gamut=gamut,
            layers={name: picture for name, picture in layers.items() if picture is not None},
        )
        picture = look(hdr, sequence=exposures, even=False, frames=(len(hdr) // 2,))[0]
        ui = shown(cls, picture, str(report)) | {"exr": reported(report.paths)}
        return io.NodeOutput(str(report.paths[0]), str(report), ui=ui)


def _metadata(cls) -> dict[str, str]:
    """The graph, for the headers, unless the user has switched metadata off."""
    if args.disable_metadata:
        return {}
    graph = {"prompt": cls.hidden.prompt, "workflow": (cls.hidden.extra_pnginfo or {}).get("workflow")}
    return {name: json.dumps(value) for name, value in graph.items() if value is not None}
