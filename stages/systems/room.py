"""Memory that a method needs on its device: frames that each network processes at once, said once for methods and nodes."""

from collections.abc import Callable

from ...hdr.sequence import ExposureSequence
from ...models.dealthdr import DEALTHDR, FGMA
from ...models.deephdrvideo import DEEPHDRVIDEO
from ...models.f2hdr import F2HDR
from ...models.flow import BASE_FLOW
from ...models.location import COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
from ...models.lrhdr import ACCR, INTERPOLATE, SPARSE_FUSION
from ..flow.pair_flow import working_size
from ..fusion import collaborative_fusion, sequence_refinement
from ..runtime.networks import work_memory
from .dealthdr import reach_of
from .system import System


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


def room_for(system: System, clip: ExposureSequence) -> int:
    """Bytes of work memory for a method on a normalized clip, of the network that needs most; 0 without networks."""
    sizes = {name: working_size(clip.size) if name == BASE_FLOW else clip.size for name in system.networks}
    return max((work_memory(name, size, frames_for(name, clip)) for name, size in sizes.items()), default=0)
