"""Wire types of the pack, and phrases shared by tooltips. Their values are defined in hdr/sequence.py; of an ANCHORED wire
the `AnchoredSequence` of hdr/anchors.py, of a MODEL wire the `OwnNetwork` of stages/runtime/networks.py."""

from comfy_api.latest import io

Exposures = io.Custom("HDRWEAVE_EXPOSURES")
Anchored = io.Custom("HDRWEAVE_ANCHORED")
Flow = io.Custom("HDRWEAVE_FLOW")
Candidates = io.Custom("HDRWEAVE_CANDIDATES")
Model = io.Custom("HDRWEAVE_MODEL")

LOAD, CHECK, ALIGN, RECONSTRUCT, STAGES, LOOK, SAVE = (  # sub-menus, in the order of the work
    f"HDRWeave/{name}" for name in ("load", "check", "align", "reconstruct", "stages", "look", "save")
)
HDR = "Scene-linear, in the clip's own primaries (Rec.709 as a rule); 1.0 is where the shortest exposure clips."
NORMALIZED = "A clip from Exposure Normalization (any other is normalized automatically)."
DISPLAY = "Display-encoded, in [0,1], for Preview and Save Image."


def rgb(image, port: str):
    """The colour channels of an IMAGE (T,H,W,3 or 4) in main memory, where all stages expect them (`--gpu-only` leaves images on
    the GPU); a view if it lies there. Raises ValueError on anything else."""
    if image.ndim != 4 or image.shape[-1] not in (3, 4) or 0 in image.shape:
        raise ValueError(
            f"{port} has the shape {tuple(image.shape)}, colour frames (frames, height, width, 3) are expected"
        )
    return image[..., :3].cpu()
