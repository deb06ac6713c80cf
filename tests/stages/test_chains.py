"""Systems as one call: who votes, and that the networks start as something that works already."""

import pytest
import torch
import untrained
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.models import registry
from hdrweave.stages.systems import flagship, lrhdr
from hdrweave.stages.systems.table import SYSTEMS
from moving_texture import captured, radiance, sequence

SIX = ("frame -1", "frame +1", "interpolated +1", "ACCR reference", "ACCR interpolated +1")  # beside the reference
ALIGNED = ("ACCR reference", "ACCR FGMA -1", "ACCR FGMA +1", "F2HDR", "DeAltHDR")
CHAINS = pytest.mark.parametrize("chain, names", [(lrhdr, SIX), (flagship, ALIGNED)], ids=["lrhdr", "flagship"])


@pytest.fixture(autouse=True)
def weights(tmp_path, monkeypatch):
    untrained.write(tmp_path)
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)


def alternating(exposures, count=6, size=(64, 96)):
    light, taken = radiance(count, size, 2.0), [exposures[t % len(exposures)] for t in range(count)]
    return sequence(captured(light, taken), taken, period=len(exposures)), 0.1 * light


@CHAINS
@pytest.mark.parametrize("exposures", [(1.0, 8.0), (1.0, 4.0, 16.0)], ids=["two", "three"])
def test_untrained_it_beats_the_frames_alone(chain, names, exposures):
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


@CHAINS
def test_who_votes(chain, names, monkeypatch):
    asked = []

    def vote(given, network, alpha=None, sequence=None, progress=None):
        asked.append((given.names, sequence is clip))
        return given.candidates[0].radiance[:], None

    clip, _ = alternating((1.0, 8.0), 4)
    monkeypatch.setattr(chain, "sparse_fusion", vote)
    getattr(chain, chain.__name__.rpartition(".")[2])(clip)
    assert asked == [(names, True)]
