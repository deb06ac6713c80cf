"""Text and line drawing on pictures: float tensors (H,W,3) in [0,1], changed in place."""

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange

from ..cv import cv2

INK = (0.88, 0.88, 0.88)
PAPER = 0.09  # grey level of the background of panels
ROUNDING = 1e-5  # largest error of the sum of interpolation weights


def text_size(words: str, height: int) -> tuple[int, int]:
    """(width, ascent) in pixels of `words` in capitals `height` pixels high."""
    cv = cv2()
    (width, ascent), _ = cv.getTextSize(words, cv.FONT_HERSHEY_SIMPLEX, height / 21, max(round(height / 16), 1))
    return width, ascent


def text(picture: torch.Tensor, words: str, x: int, y: int, height: int = 12, colour=INK, shadow: bool = False) -> None:
    """Write `words` into `picture` (H,W,3), in place, with the top left corner at (x, y); cropped at the borders.

    height: of capital letters, in pixels. shadow: darken the background, for text on a photograph.
    """
    cv = cv2()
    thickness = max(round(height / 16), 1)
    width, ascent = text_size(words, height)
    pad = height // 3 + 2
    mask = np.zeros((ascent + 2 * pad, width + 2 * pad), np.uint8)
    cv.putText(mask, words, (pad, pad + ascent), cv.FONT_HERSHEY_SIMPLEX, height / 21, 255, thickness, cv.LINE_AA)
    top, left = y - pad, x - pad
    area = picture[max(top, 0) : top + mask.shape[0], max(left, 0) : left + mask.shape[1]]
    cover = (
        torch.from_numpy(mask)[max(-top, 0) :, max(-left, 0) :][: area.shape[0], : area.shape[1], None].float() / 255
    )
    if shadow:
        area *= 0.45
    area += cover.to(area) * (torch.tensor(colour).to(area) - area)


def lines(picture: torch.Tensor, points, colour=INK, thickness: int = 1) -> None:
    """Draw a smooth polyline through `points` [(x, y), …], in pixels, into `picture` (H,W,3), in place."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    path = np.round(np.asarray(points, np.float64) * 16).astype(np.int32)  # 4 fractional bits
    cv2().polylines(mask, [path[:, None]], False, 255, thickness, cv2().LINE_AA, 4)
    _blend(picture, mask, colour)


def dots(picture: torch.Tensor, points, colour=INK, radius: float = 2) -> None:
    """Draw filled discs at `points` [(x, y), …], in pixels, into `picture` (H,W,3), in place."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    for x, y in points:
        cv2().circle(mask, (round(x * 16), round(y * 16)), round(radius * 16), 255, -1, cv2().LINE_AA, 4)
    _blend(picture, mask, colour)


def _blend(picture: torch.Tensor, mask: np.ndarray, colour) -> None:
    cover = torch.from_numpy(mask)[..., None].to(picture) / 255
    picture += cover * (torch.tensor(colour).to(picture) - picture)


def resized(picture: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """A display picture (H,W,3) in [0,1] resized with anti-aliased bicubic interpolation: (height,width,3)."""
    planes = rearrange(picture, "h w c -> 1 c h w").float()
    planes = F.interpolate(planes, size=(height, width), mode="bicubic", align_corners=False, antialias=True)
    # Weights add up to 1 but for rounding; ComfyUI's Save Image truncates, which drew a grid of 254 into white.
    return ((1 + ROUNDING) * rearrange(planes, "1 c h w -> h w c")).clamp(0, 1)
