"""HDR Viewer: writes frames in 16 bit for the viewer that web/js/viewer.js shows inside the node."""

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..stages.output.viewer import LONGEST_SIDE, first_gain, layers_of, write_layers
from .compat import known, progress_bar
from .wires import HDR, LOOK, Candidates, Exposures, grey, rgb

FOLDER = "hdrweave_viewer"  # in ComfyUI's temporary folder


class HDRViewer(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_HDRViewer",
            display_name="HDR Viewer",
            category=LOOK,
            description="HDR frames in the node: exposure, before and after, frame by frame, pixel values, false colour, "
            "clipping; candidates, vote maps and masks.",
            search_aliases=["preview hdr", "hdr preview", "view exr", "false color", "compare hdr", "wipe", "zebra"],
            is_output_node=True,
            inputs=[
                io.Image.Input("hdr", tooltip=f"The result. {HDR}"),
                io.Int.Input("start", default=0, min=0, max=10**7, tooltip="First frame to show, from 0."),
                io.Int.Input(
                    "frames",
                    default=24,
                    min=1,
                    max=500,
                    tooltip="How many frames to show. More takes room on the disk: up to 6 MB for each frame of each layer. "
                    f"Frames are shown with a long side of {LONGEST_SIDE} pixels at most.",
                ),
                Exposures.Input(
                    "exposures",
                    optional=True,
                    tooltip="The clip that hdr was made from: its frames as captured are the other side of the wipe, and "
                    "0 EV shows the white of its longest exposure as white.",
                ),
                io.Image.Input("before", optional=True, tooltip=f"Another result, to compare with. {HDR}"),
                Candidates.Input("candidates", optional=True, tooltip="Each of them becomes a layer."),
                io.Image.Input("vote_map", optional=True, tooltip="The vote map of Sparse Fusion, as a layer."),
                io.Mask.Input(
                    "mask", optional=True, tooltip="A mask for each frame, such as the Physical Motion Mask."
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls, hdr, start, frames, exposures=None, before=None, candidates=None, vote_map=None, mask=None
    ) -> io.NodeOutput:
        hdr = rgb(hdr, "hdr")
        before = None if before is None else rgb(before, "before")
        vote_map = None if vote_map is None else rgb(vote_map, "vote_map")
        mask = None if mask is None else grey(mask, "mask")
        layers = layers_of(hdr, exposures, before, candidates, vote_map, mask)
        written = write_layers(layers, Path(folder_paths.get_temp_directory()) / FOLDER, start, frames, progress_bar())
        about = {
            "layers": written,
            "subfolder": FOLDER,
            "type": "temp",
            "start": start,
            "gain": first_gain(hdr, exposures),
        }
        return io.NodeOutput(ui={"hdrweave_viewer": [about]})
