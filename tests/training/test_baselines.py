"""The classical methods to beat, on clips where the right answer is known."""

import numpy as np
import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.training.evaluation import baselines
from moving_texture import captured, radiance


def clip(light: torch.Tensor, pattern, bits: int = 8, noise: float = 0.0) -> tuple[ExposureSequence, torch.Tensor]:
    """A normalized clip of linear light (T,H,W,3), and its radiance on the scale of the shortest exposure."""
    exposures = [pattern[t % len(pattern)] for t in range(len(light))]
    frames = captured(light, exposures, level=0.05, noise=noise, bits=bits)
    return ExposureSequence(frames, torch.tensor(exposures), response_named("gamma2.2"), len(pattern)), 0.05 * light


def still(frames: int) -> torch.Tensor:
    return radiance(1, (48, 64), stops=2).expand(frames, -1, -1, -1)


@pytest.mark.parametrize("pattern", [(1.0, 4.0), (1.0, 3.0, 9.0)])
def test_debevec_needs_no_gain_to_be_on_our_scale(pattern):
    sequence, truth = clip(still(7), pattern)
    merged = baselines.debevec(sequence)
    assert merged.shape == truth.shape and merged.dtype == torch.float32
    unclipped = (truth * max(pattern) < 0.9).all(-1)
    ratio = (merged / truth)[unclipped]
    assert abs(ratio.median().item() - 1) < 0.005
    assert ratio.log().std() < 0.03  # 8-bit rounding of dark codes


def test_debevec_equals_its_formula():
    """Log radiance averaged with the weights of the triangle min(z, 255 - z), mean over the channels."""
    sequence, _ = clip(radiance(2, (24, 32), speed=2), (1.0, 4.0))
    z = (sequence.frames * 255).round()
    weight = torch.minimum(z, 255 - z).mean(-1, keepdim=True) + 1e-6
    log = 2.2 * (z.clamp(min=0.5) / 255).log() - sequence.exposures.log()[:, None, None, None]
    expected = ((weight * log).sum(0) / weight.sum(0)).exp()
    for merged in baselines.debevec(sequence):
        assert torch.allclose(merged, expected, rtol=0.01)  # the triangle's foot differs between OpenCV versions


def test_one_period_holds_every_exposure_once_and_near():
    sequence, _ = clip(still(9), (1.0, 2.0, 4.0))
    assert baselines.one_period(sequence, 4) == [4, 5, 3]
    assert baselines.one_period(sequence, 0) == [0, 1, 2] and baselines.one_period(sequence, 8) == [8, 6, 7]
    for t in range(9):
        assert sorted(sequence.exposures[baselines.one_period(sequence, t)].tolist()) == [1, 2, 4]


@pytest.mark.parametrize("dx, dy", [(8, 1), (-4, 3)])
def test_alignment_undoes_a_shift(dx, dy):
    picture = captured(radiance(1, (160, 200)), [1.0], level=0.2)[0].mul(255).byte().numpy()
    moved = np.roll(picture, (dy, dx), (0, 1))
    aligned = baselines.shifted_onto(picture, moved)
    inner = np.s_[16:-16, 16:-16]
    assert np.array_equal(aligned[inner], picture[inner])
    assert not np.array_equal(moved[inner], picture[inner])


def test_unaligned_merges_a_still_clip_and_smears_a_moving_one():
    sequence, truth = clip(still(5), (1.0, 4.0), bits=16)
    sound = (truth * 4 < 0.9).all(-1)
    assert torch.allclose(baselines.unaligned(sequence)[sound], truth[sound], rtol=1e-3)
    sequence, truth = clip(radiance(5, (48, 64), speed=4), (1.0, 4.0), bits=16)
    error = (baselines.unaligned(sequence) - truth).abs().mean()
    assert error > 5 * (baselines.reference(sequence)[::2] - truth[::2]).abs().mean()


def test_reference_is_the_captured_frame_alone():
    sequence, _ = clip(still(4), (1.0, 4.0))
    alone = baselines.reference(sequence)
    assert torch.allclose(alone[1], sequence.frames[1].pow(2.2) / 4) and alone[1].max() <= 0.25 + 1e-6
