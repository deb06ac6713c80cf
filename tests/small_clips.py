"""Small clips of alternating exposures, and their files."""

import numpy as np
import torch
from hdrweave.hdr.cv import cv2


def scene(count=12, exposures=(1, 8), height=33, width=47):
    """Still gamma-encoded frames of a bright and dark scene under the given exposures: (T,H,W,3)."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, height // 4 + 1, width // 4 + 1, generator=generator)
    radiance = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0].movedim(0, -1) ** 3
    return torch.stack([(radiance * exposures[t % len(exposures)]).clamp(0, 1) ** (1 / 2.2) for t in range(count)])


def write_png(path, frame, dtype=np.uint8):
    codes = (frame.numpy()[..., ::-1] * np.iinfo(dtype).max).round().astype(dtype)
    path.write_bytes(cv2().imencode(path.suffix, codes)[1].tobytes())
