"""Wire types of the pack, sub-menus, and phrases that tooltips share.

The values on the wires are defined in hdr/sequence.py, except the `AnchoredSequence` of ANCHORED (hdr/anchors.py) and the
`OwnNetwork` of MODEL (stages/runtime/networks.py).
"""

import torch
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
    """The colour channels (T,H,W,3) of an IMAGE (T,H,W,3 or 4) in main memory, where all stages expect them (ComfyUI's
    `--gpu-only` leaves images on the GPU), without a gradient; a view if it lies there already. Raises ValueError on other
    shapes, and on whole numbers: codes have no scale in light."""
    if image.ndim != 4 or image.shape[-1] not in (3, 4) or 0 in image.shape:
        raise ValueError(
            f"{port} has the shape {tuple(image.shape)}, colour frames (frames, height, width, 3) are expected"
        )
    if not image.is_floating_point():
        raise ValueError(f"{port} holds {image.dtype}, floats are expected: divide codes by the largest one first")
    return image[..., :3].detach().cpu()


def grey(mask, port: str):
    """A MASK (T,H,W), or (H,W) of one frame, as float32 (T,H,W) in main memory, without a gradient. Raises ValueError on other
    shapes, and on codes."""
    if mask.ndim not in (2, 3) or 0 in mask.shape:
        raise ValueError(f"{port} has the shape {tuple(mask.shape)}, masks (frames, height, width) are expected")
    if not mask.is_floating_point() and mask.dtype is not torch.bool:
        raise ValueError(f"{port} holds {mask.dtype}, floats are expected: divide codes by the largest one first")
    return (mask if mask.ndim == 3 else mask[None]).detach().float().cpu()
