"""What a node shows on itself: pictures, text, and the files that it wrote."""

from pathlib import Path

import folder_paths
from comfy_api.latest import ui


def shown(cls, pictures, text: str) -> dict:
    """The `ui` of a node: display-encoded pictures (N,H,W,3) in [0,1], and a text that the history keeps too."""
    return {**ui.PreviewImage(pictures.clamp(0, 1), cls=cls).as_dict(), "text": (text,)}


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
