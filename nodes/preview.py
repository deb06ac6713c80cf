"""What a node shows on itself: pictures, text, and the files that it wrote."""

from pathlib import Path

import folder_paths
import numpy as np
import torch
from comfy_api.latest import ui

from ..hdr.tonemap import mu_law
from ..stages.output.tonemap import automatic_peak

MU = 500.0  # of pictures that are only there to recognise a frame
SIDE = 512  # pixels of the longer side of a live picture, as ComfyUI has for its own


def quick_picture(frame: torch.Tensor) -> torch.Tensor:
    """A frame of radiance (H,W,3) as a picture (H,W,3) in [0,1]: mu-law, its brightest thousandth white."""
    frame = frame.float().nan_to_num(0, 65504, 0)
    try:
        peak = automatic_peak(frame[None])
    except ValueError:  # black
        peak = 1.0
    return mu_law(frame / peak, MU).clamp(0, 1)


def live_picture(frame: torch.Tensor):
    """A frame of radiance (H,W,3) as ComfyUI's progress takes a picture: format, `PIL.Image`, longer side."""
    from PIL import Image

    step = -(-max(frame.shape[:2]) // SIDE)  # every `step`-th pixel: made several times a second, beside the work
    picture = widened(quick_picture(frame[::step, ::step])[None])[0, ..., :3]  # JPEG: the sides are black
    pixels = (255 * picture).round().cpu().numpy().astype(np.uint8)
    return "JPEG", Image.fromarray(pixels), SIDE


def shown(cls, pictures, text: str) -> dict:
    """The `ui` of a node: display-encoded pictures (N,H,W,3) in [0,1], and a text that the history keeps too."""
    return {**ui.PreviewImage(widened(pictures.clamp(0, 1)), cls=cls).as_dict(), "text": (text,)}


def widened(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (N,H,W,3) as they are if they are 4:3 or wider; else 4:3 as (N,H,W',4), with transparent sides: a node is as
    wide as it was, and would grow over those below it."""
    height, width = pictures.shape[1:3]
    missing = -(-height * 4 // 3) - width
    if missing <= 0:
        return pictures
    opaque = torch.nn.functional.pad(pictures, (0, 1), value=1.0)
    return torch.nn.functional.pad(opaque, (0, 0, missing // 2, missing - missing // 2))


def middle(frames):
    """The middle one of frames (T,...), as (1,...)."""
    return frames[len(frames) // 2][None]


def middle_mask(masks):
    """The middle one of masks (T,H,W) in [0,1], as a grey picture (1,H,W,3)."""
    return middle(masks)[..., None].expand(-1, -1, -1, 3)


def reported(paths) -> list[dict[str, str]]:
    """Those files that lie in ComfyUI's output folder, as its server names them, so that a client can fetch them."""
    root = Path(folder_paths.get_output_directory()).resolve()
    found = [path.relative_to(root) for path in paths if path.is_relative_to(root)]
    return [
        {"filename": p.name, "subfolder": "" if len(p.parts) == 1 else p.parent.as_posix(), "type": "output"}
        for p in found
    ]
