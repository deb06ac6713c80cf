"""The loader of all networks, what the packaged ones may differ by in half precision, and room for them."""

import pytest
import torch
import untrained
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.sequence import CandidateSet
from hdrweave.models import registry
from hdrweave.models.lrhdr.interpolate import ExposureInterpolation
from hdrweave.stages.candidates.accr import accr_mapping
from hdrweave.stages.candidates.fgma import fgma_alignment
from hdrweave.stages.candidates.interpolate import interpolate_exposure
from hdrweave.stages.candidates.warp import warp_neighbours
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.fusion.sequence_refinement import sequence_refinement
from hdrweave.stages.fusion.sparse_fusion import sparse_fusion
from hdrweave.stages.fusion.weighted_merge import weighted_merge
from hdrweave.stages.runtime import networks
from hdrweave.stages.runtime.networks import (
    ACCR,
    BASE_FLOW,
    COLLABORATIVE_FUSION,
    DEALTHDR,
    DEEPHDRVIDEO,
    FGMA,
    INTERPOLATE,
    SEQUENCE_REFINEMENT,
    SPARSE_FUSION,
    OwnNetwork,
    load_chosen,
    load_network,
)
from hdrweave.stages.systems.dealthdr import dealthdr
from hdrweave.stages.systems.deephdrvideo import coarse_reconstruction, deformable_refinement
from hdrweave.stages.systems.location import location_of_alternating
from moving_texture import captured, radiance, sequence


def test_packaged_or_the_users_own(tmp_path, monkeypatch):
    untrained.write(tmp_path / "packaged", [FGMA])
    untrained.write(tmp_path / "mine", [ACCR])
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "packaged")
    folders = [tmp_path / "mine"]
    assert type(load_network(FGMA)).__name__ == "FlowGuidedAligner"
    assert type(load_network(ACCR, "accr.safetensors", folders)).__name__ == "ACCR"
    with pytest.raises(ValueError, match="holds the network 'accr', expected 'fgma'"):
        load_network(FGMA, "accr.safetensors", folders)
    (tmp_path / "mine" / "manifest.json").rename(tmp_path / "packaged" / "old.json")
    untrained.write(tmp_path / "mine", [FGMA])  # a training's folder, put there whole
    (tmp_path / "mine" / "fgma.safetensors").write_bytes(b"damaged")
    assert type(load_network(FGMA, folders=folders)).__name__ == "FlowGuidedAligner"
    with pytest.raises(OSError, match="no weights called 'sparse_fusion'"):
        load_network(SPARSE_FUSION)


def test_a_network_of_the_users_own_goes_before_stored_ones_if_it_is_the_right_one():
    own = OwnNetwork(FGMA, torch.nn.Identity())
    assert load_chosen(FGMA, "nothing there", [], own) is own.network
    with pytest.raises(ValueError, match="the model is 'fgma', this node needs 'accr'"):
        load_chosen(ACCR, model=own)
    assert type(load_chosen("f2hdr")).__name__ == "F2HDR"


def test_room_is_asked_for_a_tile_or_where_frames_are_kept_for_all_of_them():
    small, large = (360, 640), (4320, 7680)
    for name in registry.ARCHITECTURES:
        assert networks.work_memory(name, small, 6) == 2 * networks.work_memory(name, small, 3)
        ratio = networks.work_memory(name, large, 3) / networks.work_memory(name, small, 3)
        assert (ratio == 144) is (name in (BASE_FLOW, SEQUENCE_REFINEMENT, DEALTHDR)) and ratio > 9


def results(name: str, clip, flow) -> list[torch.Tensor]:
    network, warped = load_network(name), warp_neighbours(clip, flow)

    def radiances(candidates: CandidateSet):
        return [c.radiance for c in candidates]

    def with_flow():
        return warp_neighbours(clip, estimate_flow(clip, network=network))

    run = {
        BASE_FLOW: lambda: [weighted_merge(clip, with_flow())],
        FGMA: lambda: radiances(fgma_alignment(clip, flow, network).candidates),
        INTERPOLATE: lambda: radiances(interpolate_exposure(clip, flow, network)),
        ACCR: lambda: radiances(accr_mapping(clip, warped, network)),
        SPARSE_FUSION: lambda: [sparse_fusion(warped, network, sequence=clip)[0]],
        SEQUENCE_REFINEMENT: lambda: [sequence_refinement(clip.radiance(range(len(clip))), network)],
        DEALTHDR: lambda: [dealthdr(clip, flow, network)],
        DEEPHDRVIDEO: lambda: [
            hdr := coarse_reconstruction(clip, flow, network),
            deformable_refinement(clip, hdr, network),
        ],
        COLLABORATIVE_FUSION: lambda: [location_of_alternating(clip, ExposureInterpolation().eval(), network)],
    }
    return run[name]()


@pytest.mark.parametrize("exposures", [(1.0, 8.0), (1.0, 4.0, 16.0)], ids=["two", "three"])
@pytest.mark.parametrize("name", [name for name in registry.ARCHITECTURES if name != "f2hdr"])
def test_packaged_weights_stay_within_the_bound_of_half_precision(name, exposures, monkeypatch):
    if name not in registry.names():
        pytest.skip("it has no packaged weights yet")
    taken = [exposures[t % len(exposures)] for t in range(4)]
    clip = sequence(captured(radiance(4, (96, 160), 3.0), taken), taken, period=len(exposures))
    flow = estimate_flow(clip)
    fast = results(name, clip, flow)
    monkeypatch.setattr(networks, "precision", lambda device: torch.float32)
    for ours, exact in zip(fast, results(name, clip, flow), strict=True):
        assert min(float(psnr_mu(a, b)) for a, b in zip(ours, exact, strict=True)) > 60
