"""Downscaled frames of a clip, warped to another frame along the optical flow between the two."""

import torch
import torch.nn.functional as F

from ...hdr.exposure import luma
from ...hdr.warp import warp
from ..flow.dis_backends import OPENCV, dis_backend


class AlignedProxies:
    """Proxies of a `ClipStatistics`, index -> (code (h,w,3), highest code of each block (h,w,3)), warped to another frame.

    stops: by how much the frames that are warped are brighter than those that they are warped to; an error of a third of a
    stop does no harm.
    """

    def __init__(self, proxies: dict, response, stops: float):
        self.proxies, self.response, self.gain = proxies, response, 2.0**stops
        self.dis = dis_backend(OPENCV, "medium")

    def __call__(self, t: int, brighter: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Code and highest code around, (h,w,3) each, of frame `brighter`, warped to frame t."""
        (dark, _), (code, peak) = self.proxies[t], self.proxies[brighter]
        flow = self.dis(self._matched(dark, self.gain), self._matched(code, 1.0))
        around = F.max_pool2d(peak.movedim(-1, 0)[None], 3, 1, 1)
        seen = warp(torch.cat((code.movedim(-1, 0)[None], around), 1), flow)[0].movedim(0, -1)
        return seen[..., :3], seen[..., 3:]

    def _matched(self, code: torch.Tensor, gain: float) -> torch.Tensor:
        """Luma (1,1,h,w) at the brighter exposure, clipped there, where shadows of both frames are visible."""
        light = (self.response.decode(code) * gain).clamp(0, 1)
        return luma(light.pow(1 / 2.2))[None, None]
