"""Memory that a method needs on its device: frames that each network processes at once, said once for methods and nodes;
that of flow and of the merge without networks."""

from collections.abc import Callable
from math import prod

from ...hdr.sequence import ExposureSequence
from ...models.dealthdr import DEALTHDR, FGMA
from ...models.deephdrvideo import DEEPHDRVIDEO
from ...models.f2hdr import F2HDR
from ...models.flow import BASE_FLOW
from ...models.location import COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
from ...models.lrhdr import ACCR, INTERPOLATE, SPARSE_FUSION
from ..flow.dis_backends import FINE, batch_memory
from ..flow.pair_flow import fine_size, working_size
from ..fusion import collaborative_fusion, sequence_refinement
from ..runtime.networks import work_memory
from ..runtime.threads import ELSEWHERE_AT_ONCE
from .dealthdr import reach_of
from .system import System

MERGE_BYTES = 120  # of a pixel of each frame and candidate that is merged, in float32, measured at 640x360
READ_BYTES = 180  # the same, with the window that a frame's neighbours are warped in


def _with_neighbours(clip: ExposureSequence) -> int:
    return len(clip.offsets) + 1


def _fused_together(clip: ExposureSequence) -> int:
    """Frames of a window with all anchors in its time, if the most frequent exposure is the backbone."""
    counts = sorted(clip.exposures.unique(return_counts=True)[1].tolist())[:-1]
    window = collaborative_fusion.WINDOW
    return window + len(counts) * -(-window * max(counts, default=0) // len(clip))


AT_ONCE: dict[str, Callable[[ExposureSequence], int]] = {
    BASE_FLOW: lambda clip: 3,
    F2HDR: _with_neighbours,
    DEEPHDRVIDEO: _with_neighbours,
    FGMA: _with_neighbours,
    DEALTHDR: lambda clip: 2 * reach_of(clip) + 1,
    INTERPOLATE: _with_neighbours,
    ACCR: _with_neighbours,
    SPARSE_FUSION: lambda clip: 4 * clip.period - 2,  # LRHDR's candidates; the flagship has no more
    COLLABORATIVE_FUSION: _fused_together,
    SEQUENCE_REFINEMENT: lambda clip: sequence_refinement.frames_together(len(clip)),
}


def frames_for(name: str, clip: ExposureSequence) -> int:
    """Frames or candidates of a normalized clip that the network `name` processes at once in the methods."""
    return AT_ONCE[name](clip)


def flow_room(clip: ExposureSequence, preset: str = FINE) -> int:
    """Bytes of work memory for the flow of a normalized clip by DIS, between several frames and their neighbours at once."""
    size = fine_size(clip.size) if preset == FINE else working_size(clip.size)
    return batch_memory(prod(size), ELSEWHERE_AT_ONCE * 2 * len(clip.offsets), preset)


def merge_room(clip: ExposureSequence, candidates: int) -> int:
    """Bytes of work memory for Weighted Merge, which merges two frames at once."""
    return MERGE_BYTES * 2 * (1 + candidates) * prod(clip.size)


def room_for(system: System, clip: ExposureSequence) -> int:
    """Bytes of work memory for a method on a normalized clip: of its flow, its merge or the network that needs most."""
    sizes = {name: working_size(clip.size) if name == BASE_FLOW else clip.size for name in system.networks}
    merge = READ_BYTES * _with_neighbours(clip) * prod(clip.size)
    rooms = [work_memory(name, size, frames_for(name, clip)) for name, size in sizes.items()] or [merge]
    return max(flow_room(clip), *rooms)
