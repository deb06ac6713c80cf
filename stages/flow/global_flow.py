"""Flow of the camera alone: a similarity from every frame to each neighbour (Chen et al. 2021, section 3.1)."""

import torch

from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ..clip.global_alignment import affine_flow, camera_move
from ..runtime.windows import Progress, quiet, windows
from .pair_flow import PairFlow, half_size


def global_flow(sequence: ExposureSequence, progress: Progress = quiet) -> FlowField:
    """Flow of a normalized clip by which neighbours are aligned to each reference as a whole: shift, rotation and zoom, from
    matched corners of the exposure-matched frames. Confidence 1; where nothing matches, the flow is 0."""
    pairs = PairFlow(sequence, "fast")
    grid, count = half_size(pairs.size), len(sequence)
    flow = {o: allocate((count, 2, *grid), torch.float16) for o in sequence.offsets}
    for (t,) in windows(count, 1, progress):
        for o, field in flow.items():
            n = sequence.neighbour(t, o)
            if n != t:
                field[t] = affine_flow(camera_move(pairs, t, n)[None], *sequence.size, grid)[0]
        pairs.forget(t - 2 * sequence.period)
    ones = torch.ones(1, 1, 1, 1, dtype=torch.float16).expand(count, 1, *grid)
    return FlowField(sequence.size, flow, dict.fromkeys(flow, ones), clip_exposures=sequence.exposures)
