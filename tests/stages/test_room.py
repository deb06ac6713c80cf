"""The room that is made for whole methods, before they run."""

import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.models import registry
from hdrweave.models.location import COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
from hdrweave.models.lrhdr import SPARSE_FUSION
from hdrweave.stages.runtime.networks import work_memory
from hdrweave.stages.systems.room import AT_ONCE, flow_room, frames_for, merge_room, room_for
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
    assert room >= flow_room(given)
    for network in system.networks:
        assert room >= work_memory(network, SIZE, 3)
    if SEQUENCE_REFINEMENT in system.networks:
        assert room >= work_memory(SEQUENCE_REFINEMENT, SIZE, 24)  # a window of 12, and 6 on both sides


def test_room_for_flow_is_that_of_a_batch_of_pairs():
    two, three = (clip(e, 12) for e in ([1.0, 8.0], [1.0, 4.0, 16.0]))
    pixels = 378 * 672  # to which small frames are enlarged
    assert flow_room(two) == 270 * pixels * 4 * 4  # four frames, to two neighbours and back
    assert flow_room(three) == 270 * pixels * 4 * 8
    assert flow_room(two, "medium") == 80 * SIZE[0] * SIZE[1] * 4 * 4
    large = two.with_(frames=torch.zeros(1).expand(12, 2160, 3840, 3))
    assert flow_room(large) == 270 * 720 * 1280 * 9  # pixels of BATCH
    assert flow_room(large) > 2e9


def test_room_without_networks():
    given = clip([1.0, 4.0, 16.0], 12)
    assert merge_room(given, 4) == 120 * 2 * 5 * SIZE[0] * SIZE[1]
    large = given.with_(frames=torch.zeros(1).expand(12, 2160, 3840, 3))
    assert room_for(SYSTEMS["classical"], large) == 180 * 5 * 2160 * 3840 > flow_room(large)


def test_frames_at_once_follow_exposures_and_length():
    assert set(AT_ONCE) <= set(registry.ARCHITECTURES)
    assert frames_for(SEQUENCE_REFINEMENT, clip([1.0, 8.0], 7)) == 7
    assert [frames_for(SPARSE_FUSION, clip(e, 12)) for e in ([1.0, 8.0], [1.0, 4.0, 16.0])] == [6, 10]
    assert frames_for(COLLABORATIVE_FUSION, clip([1.0, 8.0], 12)) == 5 + 3
    assert frames_for(COLLABORATIVE_FUSION, clip([4.0, 4.0, 1.0, 4.0, 4.0, 16.0], 12)) == 5 + 2
