"""Systems as one call: who votes, and that the networks start as something that works already."""

import pytest
import torch
import untrained
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.models import registry
from hdrweave.models.lrhdr.accr import ACCR
from hdrweave.models.lrhdr.sparse_fusion import SparseFusion
from hdrweave.stages.systems import flagship, lrhdr
from hdrweave.stages.systems.table import SYSTEMS
from moving_texture import captured, radiance, sequence

SIX = ("frame -1", "frame +1", "interpolated +1", "ACCR reference", "ACCR interpolated +1")  # beside the reference
CHAINS = pytest.mark.parametrize("chain", [lrhdr, flagship], ids=["lrhdr", "flagship"])


@pytest.fixture(autouse=True)
def weights(tmp_path, monkeypatch):
    untrained.write(tmp_path)
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)


def alternating(exposures, count=6, size=(64, 96)):
    light, taken = radiance(count, size, 2.0), [exposures[t % len(exposures)] for t in range(count)]
    return sequence(captured(light, taken), taken, period=len(exposures)), 0.1 * light


@CHAINS
@pytest.mark.parametrize("exposures", [(1.0, 8.0), (1.0, 4.0, 16.0)], ids=["two", "three"])
def test_untrained_it_beats_the_frames_alone(chain, exposures):
    clip, truth = alternating(exposures)
    told = []
    run = getattr(chain, chain.__name__.rpartition(".")[2])
    found = run(clip, progress=lambda done, total: told.append((done, total)))
    assert found.shape == clip.frames.shape and found.dtype == torch.float32 and found.isfinite().all()
    assert not found.requires_grad and not found.is_inference() and len(told) > 3 * len(clip)
    alone = clip.radiance(range(len(clip)))
    gains = [psnr_mu(found[t], truth[t]) - psnr_mu(alone[t], truth[t]) for t in range(len(clip))]
    assert sum(gains) / len(gains) > 2


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in ("classical", "lrhdr", "flagship")])
def test_the_other_systems_do_too(name):
    clip, truth = alternating((1.0, 8.0))
    found, alone = SYSTEMS[name].run(clip), clip.radiance(range(len(clip)))
    assert found.shape == clip.frames.shape and found.isfinite().all() and not found.requires_grad
    gains = [psnr_mu(found[t], truth[t]) - psnr_mu(alone[t], truth[t]) for t in range(len(clip))]
    assert sum(gains) / len(gains) > 2, gains


def test_who_votes_in_lrhdr(monkeypatch):
    asked = []

    def vote(given, network, alpha=None, sequence=None, progress=None):
        asked.append((given.names, sequence is clip))
        return given.candidates[0].radiance[:], None

    clip, _ = alternating((1.0, 8.0), 4)
    monkeypatch.setattr(lrhdr, "sparse_fusion", vote)
    lrhdr.lrhdr(clip)
    assert asked == [(SIX, True)]


def test_who_votes_in_the_flagship(monkeypatch):
    """The frame as captured; it and what FGMA aligns, by ACCR, at their exposures; F2HDR and DeAltHDR, of no exposure."""
    clip, _ = alternating((1.0, 8.0), 4)
    asked = []

    def made(value: float) -> torch.Tensor:
        return torch.full((1, 3, *clip.size), value)

    def aligned(network, window, cells):
        assert window.frames.shape[1] == 3 and cells.shape[1] == 2
        return torch.stack((made(0.1), made(0.2)), 1), torch.stack((made(0.5)[:, :1], made(0.6)[:, :1]), 1)

    def mapped(size, network, radiance, exposures, validity):
        assert isinstance(network, ACCR) and size == clip.size
        return radiance / 2

    def vote(network, radiance, validity, taken, code, noise=None):
        assert isinstance(network, SparseFusion)
        asked.append((radiance, validity, taken, code))
        return radiance[:, 0], None

    stubs = {"aligned_neighbours": aligned, "in_tiles": mapped, "fused_frame": vote}
    stubs |= {"f2hdr_frame": lambda *given: made(0.3), "dealthdr_frame": lambda *given: made(0.4)}
    for name, stub in stubs.items():
        monkeypatch.setattr(flagship, name, stub)
    assert torch.equal(flagship.flagship_vote(clip), clip.radiance(range(4)))
    assert len(asked) == 4
    for t, (light, validity, taken, code) in enumerate(asked):
        own, other = clip.exposures[[t, clip.neighbour(t, 1)]].tolist()
        frame = clip.radiance([t]).movedim(-1, 1)
        expected = (frame, frame / 2, made(0.05), made(0.1), made(0.3), made(0.4))
        assert torch.equal(light, torch.stack(expected, 1)) and taken.tolist() == [[own, own, other, other, 0, 0]]
        assert torch.equal(code, clip.frames[[t]].movedim(-1, 1))
        for k, sure in enumerate((1, 1, 0.5, 0.6, 1, 1)):
            assert torch.equal(validity[:, k], torch.full_like(validity[:, k], sure))
