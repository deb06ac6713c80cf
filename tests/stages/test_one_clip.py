"""Flow and candidates are refused beside a clip of other exposures than the one that they were made from."""

import pytest
import torch
import untrained
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.models import registry
from hdrweave.models.lrhdr import ACCR, SPARSE_FUSION
from hdrweave.stages.adapt.footage import Footage
from hdrweave.stages.candidates.accr import accr_mapping
from hdrweave.stages.candidates.combine import combine
from hdrweave.stages.candidates.warp import warp_neighbours
from hdrweave.stages.clip.normalize import normalize
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.flow.global_flow import global_flow
from hdrweave.stages.fusion.sparse_fusion import sparse_fusion, unaligned
from hdrweave.stages.fusion.weighted_merge import weighted_merge
from hdrweave.stages.output.viewer import layers_of
from hdrweave.stages.report.recovery import recovery
from hdrweave.stages.runtime.networks import load_network
from hdrweave.stages.runtime.per_frame import WindowReader
from small_clips import scene

CPU = torch.device("cpu")
OTHERS = {"ratio": (1, 4), "third of a stop": (1, 10), "first frame": (8, 1)}
BELONGS = "belongs to a clip of the exposures 1 8 1 8 1 8, here are {}: wire both from one loader"


def clip(*exposures) -> ExposureSequence:
    taken = torch.tensor(exposures, dtype=torch.float32).repeat(6 // len(exposures))
    return ExposureSequence(scene(6, exposures, 32, 48), taken, response_named("gamma2.2"), len(exposures))


@pytest.fixture(params=OTHERS)
def other(request):
    """A clip of the size, length and period of `clip(1, 8)`, with other exposures, and the error beside it."""
    a, b = OTHERS[request.param]
    return clip(a, b), BELONGS.format(" ".join([f"{a} {b}"] * 3))


@pytest.mark.parametrize("estimate", [global_flow, lambda c: estimate_flow(c, "ultrafast")], ids=["camera", "DIS"])
def test_flow(other, estimate):
    flow, (foreign, error) = estimate(clip(1, 8)), other
    for use in (warp_neighbours, lambda c, f: WindowReader(c, f, "cpu"), lambda c, f: Footage(c, f, CPU, 6, 32, 0)):
        use(clip(1, 8), flow)
        with pytest.raises(ValueError, match=f"the flow {error}"):
            use(foreign, flow)


@pytest.fixture
def networks(tmp_path, monkeypatch):
    untrained.write(tmp_path)
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)


def fused(foreign, candidates):
    return sparse_fusion(candidates, load_network(SPARSE_FUSION), sequence=foreign)


def mapped(foreign, candidates):
    return accr_mapping(foreign, candidates, load_network(ACCR))


def shown(foreign, candidates):
    return layers_of(foreign.radiance(range(6)), foreign, candidates=candidates)


def reported(foreign, candidates):
    return recovery(foreign, foreign.radiance(range(6)), candidates)


def joined(foreign, candidates):
    return combine([unaligned(foreign), candidates])


@pytest.mark.parametrize("use", [weighted_merge, fused, mapped, shown, reported, joined])
def test_candidates(other, networks, use):
    ours, (foreign, error) = clip(1, 8), other
    warped = warp_neighbours(ours, global_flow(ours))
    use(ours, warped)
    with pytest.raises(ValueError, match=f"candidate 'flow -1' {error}"):
        use(foreign, warped)


def test_candidates_stay_of_their_clip_where_they_are_mapped_or_joined(networks):
    ours = clip(1, 8)
    for candidates in (mapped(ours, unaligned(ours)), combine([unaligned(ours)])):
        with pytest.raises(ValueError, match="belongs to a clip of the exposures"):
            weighted_merge(clip(1, 4), candidates)
    weighted_merge(clip(1, 4), combine([ours.radiance(range(6))]))  # a picture may be of any


@pytest.mark.parametrize("exposures", [(3, 24), (1, 7.6)], ids=["scale", "measured"])
def test_the_same_exposures_on_another_scale_or_as_measured_fit(exposures):
    ours, same = clip(1, 8), clip(1, 8).with_(exposures=clip(*exposures).exposures)
    weighted_merge(normalize(same), warp_neighbours(ours, global_flow(ours)))
