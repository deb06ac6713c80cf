"""Scenes whose radiance and motion are known exactly, where frames of one exposure alone cannot show the motion."""

import torch
from moving_texture import texture


def window_scene(count: int = 8, size=(80, 128), speed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A still, dim wall with a window through which a bright landscape passes by, `speed` pixels to the left a frame.

    Returns radiance (T,H,W,3) and the window (H,W) bool. The landscape lies between 0.2 and 0.9, the wall below 0.06:
    an exposure of 8 and more sees nothing but white in the window, an exposure of 1 sees both.
    """
    height, width = size
    wall = 0.02 * texture(height, width, 1.0, 1).clamp(0.1, 3)
    landscape = texture(height, width + speed * count, 2.0, 2)
    landscape = 0.2 + 0.7 * (landscape / (1 + landscape))
    window = torch.zeros(height, width, dtype=torch.bool)
    window[height // 5 : -height // 5, width // 5 : -width // 5] = True
    views = [torch.where(window[..., None], landscape[:, speed * t : speed * t + width], wall) for t in range(count)]
    return torch.stack(views), window


def passing_object(
    count: int = 6, size=(72, 128), speed: int = 12, side: int = 20
) -> tuple[torch.Tensor, torch.Tensor]:
    """A textured square that passes before a still texture, `speed` pixels to the right a frame.

    Returns radiance (T,H,W,3), most of it between 0.005 and 0.3, and where the square is (T,H,W) bool.
    """
    (height, width), side = size, 20
    ground = 0.02 * texture(height, width, 2.0, 3)
    square = 0.08 * texture(side, side, 1.0, 4)
    light, where = ground.repeat(count, 1, 1, 1), torch.zeros(count, height, width, dtype=torch.bool)
    top = (height - side) // 2
    for t in range(count):
        left = 8 + speed * t
        light[t, top : top + side, left : left + side] = square
        where[t, top : top + side, left : left + side] = True
    return light, where
