"""The room that is made for whole methods, before they run."""

import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.models import registry
from hdrweave.models.location import COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
from hdrweave.models.lrhdr import SPARSE_FUSION
from hdrweave.stages.runtime.networks import work_memory
from hdrweave.stages.systems.room import AT_ONCE, frames_for, room_for
from hdrweave.stages.systems.table import SYSTEMS

SIZE = 270, 480


def clip(exposures: list[float], count: int) -> ExposureSequence:
    taken = torch.tensor([exposures[t % len(exposures)] for t in range(count)])
    return ExposureSequence(torch.zeros(1).expand(count, *SIZE, 3), taken, response_named("linear"), len(exposures))


@pytest.mark.parametrize("name", SYSTEMS)
def test_room_is_made_for_the_network_that_needs_most(name):
    system, given = SYSTEMS[name], clip([1.0, 8.0], 40)
    assert set(system.networks) <= set(AT_ONCE)
    room = room_for(system, given)
    if not system.networks:
        assert room == 0
    for network in system.networks:
        assert room >= work_memory(network, SIZE, 3)
    if SEQUENCE_REFINEMENT in system.networks:
        assert room == work_memory(SEQUENCE_REFINEMENT, SIZE, 24)  # a window of 12, and 6 on both sides


def test_frames_at_once_follow_exposures_and_length():
    assert set(AT_ONCE) <= set(registry.ARCHITECTURES)
    assert frames_for(SEQUENCE_REFINEMENT, clip([1.0, 8.0], 7)) == 7
    assert [frames_for(SPARSE_FUSION, clip(e, 12)) for e in ([1.0, 8.0], [1.0, 4.0, 16.0])] == [6, 10]
    assert frames_for(COLLABORATIVE_FUSION, clip([1.0, 8.0], 12)) == 5 + 3
    assert frames_for(COLLABORATIVE_FUSION, clip([4.0, 4.0, 1.0, 4.0, 4.0, 16.0], 12)) == 5 + 2
