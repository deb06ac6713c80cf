"""The loader of all networks, what the packaged ones may differ by in half precision, and the memory that they need."""

from types import SimpleNamespace

import pytest
import torch
import untrained
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.sequence import CandidateSet
from hdrweave.models import registry
from hdrweave.models.dealthdr import DEALTHDR, FGMA
from hdrweave.models.flow import BASE_FLOW
from hdrweave.models.location import COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
from hdrweave.models.lrhdr import ACCR, INTERPOLATE, SPARSE_FUSION
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
from hdrweave.stages.runtime.networks import OwnNetwork, load_chosen, load_network
from hdrweave.stages.systems.location import location_of_alternating
from hdrweave.stages.systems.table import SYSTEMS
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


@pytest.mark.parametrize(
    "name, capability, hip, allowed, half",
    [
        ("NVIDIA GeForce RTX 4090", (8, 9), None, True, True),
        ("NVIDIA GeForce RTX 2060", (7, 5), None, True, True),
        ("Tesla T4", (7, 5), None, True, True),
        ("Tesla V100-SXM2-16GB", (7, 0), None, True, True),
        ("NVIDIA GeForce GTX 1660 SUPER", (7, 5), None, True, False),
        ("NVIDIA T1000 8GB", (7, 5), None, True, False),
        ("Quadro T2000", (7, 5), None, True, False),
        ("NVIDIA GeForce MX450", (7, 5), None, True, False),
        ("NVIDIA GeForce GTX 1080 Ti", (6, 1), None, True, False),
        ("NVIDIA GeForce RTX 4090", (8, 9), None, False, False),
        ("AMD Radeon RX 6600", (6, 0), "6.2", True, True),
        ("AMD Radeon RX 6600", (6, 0), "6.2", False, False),
    ],
)
def test_half_precision_where_a_cuda_device_computes_in_it(name, capability, hip, allowed, half, monkeypatch):
    about = SimpleNamespace(name=name, major=capability[0], minor=capability[1])
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: about)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(networks, "_half_allowed", [])
    networks.set_half_allowed(lambda device: allowed)  # as ComfyUI says
    assert networks.precision(torch.device("cuda")) is (torch.float16 if half else torch.float32)


def given(exposures):
    """A clip of four frames, and its flow."""
    taken = [exposures[t % len(exposures)] for t in range(4)]
    clip = sequence(captured(radiance(4, (96, 160), 3.0), taken), taken, period=len(exposures))
    return clip, estimate_flow(clip)


def radiances(candidates: CandidateSet) -> list[torch.Tensor]:
    return [c.radiance for c in candidates]


PARTS = {  # networks whose results other stages take: of (clip, flow, network)
    BASE_FLOW: lambda clip, flow, net: [weighted_merge(clip, warp_neighbours(clip, estimate_flow(clip, network=net)))],
    FGMA: lambda clip, flow, net: radiances(fgma_alignment(clip, flow, net).candidates),
    INTERPOLATE: lambda clip, flow, net: radiances(interpolate_exposure(clip, flow, net)),
    ACCR: lambda clip, flow, net: radiances(accr_mapping(clip, warp_neighbours(clip, flow), net)),
    SPARSE_FUSION: lambda clip, flow, net: [sparse_fusion(warp_neighbours(clip, flow), net, sequence=clip)[0]],
    SEQUENCE_REFINEMENT: lambda clip, flow, net: [sequence_refinement(clip.radiance(range(len(clip))), net)],
    COLLABORATIVE_FUSION: lambda clip, flow, net: [location_of_alternating(clip, ExposureInterpolation().eval(), net)],
}
WHOLE = [name for name in SYSTEMS if name in registry.ARCHITECTURES]  # networks that are systems by themselves
KINDS = pytest.mark.parametrize("exposures", [(1.0, 8.0), (1.0, 4.0, 16.0)], ids=["two", "three"])


def within_the_bound(run, monkeypatch) -> bool:
    """Whether the sequences that `run` returns differ from those in float32 by 60 dB of mu-law PSNR at most."""
    fast = run()
    monkeypatch.setattr(networks, "precision", lambda device: torch.float32)
    pairs = [(a, b) for ours, exact in zip(fast, run(), strict=True) for a, b in zip(ours, exact, strict=True)]
    return min(float(psnr_mu(a, b)) for a, b in pairs) > 60


@KINDS
@pytest.mark.parametrize("name", PARTS)
def test_packaged_weights_stay_within_the_bound_of_half_precision(name, exposures, monkeypatch):
    clip, flow = given(exposures)
    network = load_network(name)
    assert within_the_bound(lambda: PARTS[name](clip, flow, network), monkeypatch)


@KINDS
@pytest.mark.parametrize("name", WHOLE)
def test_systems_stay_within_the_bound_of_half_precision(name, exposures, monkeypatch):
    clip, _ = given(exposures)
    assert within_the_bound(lambda: [SYSTEMS[name].run(clip)], monkeypatch)


def test_every_network_is_held_to_the_bound():
    assert set(PARTS) | set(WHOLE) == set(registry.ARCHITECTURES)
