"""`preserve_detail` of a frame of a clip, for tests that have whole clips."""

import torch
from einops import rearrange
from hdrweave.hdr.detail_preservation import preserve_detail
from hdrweave.hdr.sequence import ExposureSequence


def preserved(hdr: torch.Tensor, sequence: ExposureSequence, t: int = 0, noise=None) -> torch.Tensor:
    """The estimate (H,W,3) of frame t of a normalized clip, blended with the captured frame, whose
    noise (1,3) may be known."""
    planes = (
        rearrange(x, "1 h w c -> 1 c h w") for x in (hdr[None], sequence.frames[t : t + 1], sequence.radiance([t]))
    )
    return rearrange(preserve_detail(*planes, sequence.exposures[t : t + 1], noise), "1 c h w -> h w c")
