"""Adapt to Footage: self-supervised test-time adaptation of a network to a clip (DeAltHDR)."""

from comfy_api.latest import io

from ..models import registry
from ..stages.adapt.adapt import AdaptSettings, adapt, check_name, room_to_adapt, save_adapted
from ..stages.adapt.adaptable import load_adaptable, reconstruct_with
from ..stages.adapt.view import before_and_after
from ..stages.clip.normalize import normalize
from ..stages.runtime.networks import PACKAGED, OwnNetwork
from .compat import known, on_device, own_weights_folder, progress_bar, weights_folders
from .ports import flow_input
from .preview import shown
from .weights import NodeWithWeights, weights_input
from .wires import DISPLAY, NORMALIZED, RECONSTRUCT, Exposures, Model

SYSTEMS = {
    row.adaptable: row.id for row in registry.ARCHITECTURES.values() if row.adaptable
}  # name in the list: network


class AdaptToFootage(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_AdaptToFootage",
            display_name="Adapt to Footage",
            category=RECONSTRUCT,
            description="Fine-tunes a network on your own clip, without ground truth and within a time limit. On held-out "
            "frames of the clip, the loss of the result is never higher than before.",
            search_aliases=["DeAltHDR", "fine-tune", "self-supervised", "test-time adaptation", "train", "domain gap"],
            is_output_node=True,
            inputs=[
                Exposures.Input(
                    "exposures", tooltip=f"{NORMALIZED} At least 4 frames (6 with three exposures), better 20."
                ),
                flow_input(),
                io.Combo.Input(
                    "system",
                    options=list(SYSTEMS),
                    default="DeAltHDR",
                    tooltip="The network to fine-tune: DeAltHDR, for DeAltHDR Reconstruction; or that of Sparse Fusion, with "
                    "the candidates of the flagship.",
                ),
                io.Float.Input(
                    "minutes",
                    default=2.0,
                    min=0.1,
                    max=600.0,
                    step=0.1,
                    tooltip="Time limit. Higher can gain more; training stops early when nothing improves any more.",
                ),
                weights_input("the system that is chosen above; training starts from them"),
                io.String.Input(
                    "save_as",
                    default="",
                    optional=True,
                    tooltip="Name of a weights file, NAME_v001, in ComfyUI's models/hdrweave folder; the next run writes "
                    "NAME_v002. Nothing is saved if it is empty, or if the network did not improve.",
                ),
            ],
            outputs=[
                Model.Output(
                    "model",
                    display_name="model",
                    tooltip="The adapted network, for the node of its system in place of weights.",
                ),
                io.Image.Output(
                    "picture",
                    display_name="picture",
                    tooltip=f"Part of a held-out frame, before and after. {DISPLAY}",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="Loss on held-out frames, before and after; steps and seconds; path of the saved file.",
                ),
            ],
        )

    @classmethod
    def execute(cls, exposures, flow, system, minutes, weights=PACKAGED, save_as="") -> io.NodeOutput:

        name, save_as = SYSTEMS[system], save_as.strip()
        if save_as:
            check_name(save_as)  # before the long computation
        clip, settings = normalize(exposures), AdaptSettings(seconds=60 * minutes)
        with on_device(load_adaptable(name, weights, weights_folders()), room_to_adapt(clip, settings)) as networks:
            reconstruct = reconstruct_with(*networks)
            adapted = adapt(clip, flow, networks[0], settings, reconstruct=reconstruct, progress=progress_bar())
        adapted.network.cpu()  # as models that ComfyUI has not loaded
        report = str(adapted.report)
        if save_as:
            try:
                path = save_adapted(adapted, save_as, own_weights_folder(), exposures.source)
                report += (
                    f"\nsaved as {path}" if path else "\nnot saved: nothing was gained, the weights are those before"
                )
            except (OSError, ValueError) as error:  # the trained network must not be lost
                report += f"\nNOT saved ({error}): it works from the model output until ComfyUI is closed"
        picture = before_and_after(adapted.report)
        return io.NodeOutput(OwnNetwork(name, adapted.network), picture, report, ui=shown(cls, picture, report))
