"""Pictures and words that a node shows on itself."""

from comfy_api.latest import ui


def shown(cls, pictures, text: str) -> dict:
    """The `ui` of a node: display-encoded pictures (N,H,W,3) in [0,1], and a text that the history keeps too."""
    return {**ui.PreviewImage(pictures.clamp(0, 1), cls=cls).as_dict(), "text": (text,)}
