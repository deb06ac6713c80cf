"""Reconstruct HDR: a whole method in one node."""

from comfy_api.latest import io

from ..stages.clip.black_level import match_black_level
from ..stages.clip.noise import with_noise
from ..stages.clip.normalize import normalize
from ..stages.clip.wrong_pattern import STOP, heed_pattern
from ..stages.systems.room import room_for
from ..stages.systems.table import BY_QUALITY, SYSTEMS
from .compat import device, known, make_room, progress_bar
from .ports import fps_output, hdr_output, wrong_pattern_input
from .wires import RECONSTRUCT, Exposures

AS_METHOD = "as method says"


class ReconstructHDR(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_ReconstructHDR",
            display_name="Reconstruct HDR",
            category=RECONSTRUCT,
            description="Scene-linear HDR frames from a clip of alternating exposures, in one node: exposures are matched, "
            "motion is estimated, frames are merged. Wire hdr and exposures to HDR Viewer, Save HDR Sequence (EXR) or Save HDR "
            "Video (HDR10). What it is made of are nodes of their own.",
            search_aliases=[
                "merge hdr",
                "exposure fusion",
                "hdr merge",
                "hdr video",
                "bracketing",
                "deghost",
                "flagship",
            ],
            inputs=[
                Exposures.Input("exposures", tooltip="The clip, from Load Alternating Exposures."),
                io.Combo.Input(
                    "method",
                    options=list(BY_QUALITY),
                    default=next(iter(BY_QUALITY)),
                    tooltip="balanced: F2HDR, refined over time, for most clips. quality: Sparse Fusion of F2HDR, DeAltHDR and "
                    "aligned neighbours, then refinement; twice the time, on test clips within 0.5 dB of balanced. fast: no "
                    "networks, several dB less than balanced, more ghosts at fast motion; for checking pattern and response.",
                ),
                known(
                    io.Combo.Input,
                    "system",
                    options=[AS_METHOD, *SYSTEMS],
                    default=AS_METHOD,
                    optional=True,
                    advanced=True,
                    tooltip="A system by its name, in place of method: the published ones and the pack's own.",
                ),
                wrong_pattern_input(),
            ],
            outputs=[
                hdr_output(),
                Exposures.Output(
                    "normalized",
                    display_name="exposures",
                    tooltip="The clip on one scale, for what saves and checks the result.",
                ),
                fps_output(),
            ],
        )

    @classmethod
    def execute(cls, exposures, method, system=AS_METHOD, wrong_pattern=STOP) -> io.NodeOutput:
        heed_pattern(exposures, wrong_pattern, progress_bar())
        row = SYSTEMS[BY_QUALITY[method] if system == AS_METHOD else system]
        clip = match_black_level(normalize(exposures), progress_bar())
        if row.networks:
            clip = with_noise(clip, progress_bar())
        make_room(room_for(row, clip))
        hdr = row.run(clip, device(), progress_bar())
        # No picture: front ends would show it beside the last live one, which stays.
        return io.NodeOutput(hdr, clip, float(clip.fps), ui={"text": (f"{row.paper}, {len(hdr)} frames",)})
