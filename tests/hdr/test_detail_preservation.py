"""Detail preservation: the captured frame replaces the estimate where it is the more exact, and only there."""

import pytest
import torch
from einops import rearrange
from hdrweave.hdr.box_filter import box_mean
from hdrweave.hdr.detail_preservation import preserve_detail
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from preserved import preserved

SIZE = (96, 128)


def bright_scene() -> torch.Tensor:
    """Code values (H,W,3) of a smooth bright frame with fine texture in its right quarter."""
    rng = torch.Generator().manual_seed(0)
    code = torch.linspace(0.62, 0.8, SIZE[0])[:, None, None].expand(*SIZE, 3).clone()
    code[:, 96:] += 0.015 * torch.randn(SIZE[0], 32, 3, generator=rng).clamp(-2, 2)
    return code


def clip(code: torch.Tensor, exposure: float = 1.0, noise: float = 0.0) -> ExposureSequence:
    rng = torch.Generator().manual_seed(1)
    frame = (code + noise * torch.randn(code.shape, generator=rng)).clamp(0, 1)
    exposures = torch.tensor([exposure, 1.0 if exposure > 1 else 8.0])
    return ExposureSequence(torch.stack((frame, frame)), exposures, response_named("gamma2.2"), 2)


def blurred(code: torch.Tensor) -> torch.Tensor:
    return box_mean(rearrange(code, "h w c -> 1 c h w"), 5)[0].movedim(0, -1)


def error(a: torch.Tensor, b: torch.Tensor, columns: slice) -> float:
    return float((a[4:-4, columns] - b[4:-4, columns]).square().mean().sqrt())


@pytest.mark.parametrize("exposure", [1.0, 4.0])
def test_fine_texture_is_restored_and_noise_is_not(exposure):
    code = bright_scene()
    truth, estimate = (x**2.2 / exposure for x in (code, blurred(code)))
    sequence = clip(code, exposure, noise=0.003)
    own = sequence.radiance([0])[0]
    kept = preserved(estimate, sequence)
    assert error(kept, truth, slice(100, 124)) < 0.5 * error(estimate, truth, slice(100, 124))
    assert error(kept, truth, slice(8, 88)) < 0.3 * error(own, truth, slice(8, 88))


def test_the_estimate_stays_where_the_frame_is_dark_or_nearly_clipped():
    for exposure, code in ((1.0, bright_scene() - 0.5), (4.0, 0.25 + bright_scene())):
        sequence = clip(code.clamp(0, 1), exposure)
        estimate = blurred(code).clamp(min=0) ** 2.2 / exposure
        kept = preserved(estimate, sequence)
        region = slice(8, 88) if exposure > 1 else slice(None)
        assert torch.equal(kept[60:, region], estimate[60:, region])


def test_large_differences_stay_those_of_the_estimate():
    code = bright_scene()
    estimate = code.clone()
    estimate[20:50, 20:60] -= 0.1
    kept = preserved(estimate**2.2, clip(code, noise=0.002))
    assert torch.equal(kept[24:46, 24:56], estimate[24:46, 24:56] ** 2.2)


def test_the_shortest_exposures_clipping_level_is_a_lower_bound():
    code = torch.full((*SIZE, 3), 0.2)
    code[0, 0] = torch.tensor([1.0, 0.99, 0.9])
    hdr = torch.full((*SIZE, 3), 0.02)
    kept = preserved(hdr, clip(code))
    torch.testing.assert_close(kept[0, 0], torch.tensor([1.0, 0.99**2.2, 0.02]))
    assert torch.equal(kept[1:], hdr[1:])
    assert torch.equal(preserved(100 * hdr, clip(code)), 100 * hdr)  # brighter is never made darker
    white, above = torch.ones_like(code), torch.full_like(hdr, 1.5)
    assert torch.equal(preserved(above, clip(white)), above)
    assert torch.equal(preserved(hdr / 4, clip(code, exposure=4.0)), hdr / 4)  # a longer exposure knows less


NOISELESS = torch.tensor([[1e-5, 1e-7, 0.0]])


@pytest.mark.parametrize("exposure", [1.0, 4.0])
@pytest.mark.parametrize("level", [0.0, -0.4])
def test_a_clean_frame_is_nearly_what_was_captured_in_every_exposure(exposure, level):
    code = (bright_scene() + level).clamp(0.05, 1)
    sequence = clip(code, exposure)
    truth, estimate = (x**2.2 / exposure for x in (code, blurred(code)))
    textured = slice(100, 124)
    assert error(preserved(estimate, sequence, noise=NOISELESS), truth, textured) < 0.05 * error(
        estimate, truth, textured
    )


@pytest.mark.parametrize("exposure", [1.0, 4.0])
def test_what_noise_explains_stays_the_estimate(exposure):
    code = bright_scene()
    sequence = clip(code, exposure, noise=0.02)
    truth, estimate = (x**2.2 / exposure for x in (code, blurred(code)))
    level = torch.tensor([[0.022, 5e-4, 0.0]])  # 0.02 in code values around 0.7
    kept = preserved(estimate, sequence, noise=level)
    assert error(kept, truth, slice(8, 88)) < 0.15 * error(sequence.radiance([0])[0], truth, slice(8, 88))
    assert error(kept, truth, slice(None)) < 0.4 * error(sequence.radiance([0])[0], truth, slice(None))


def test_a_smeared_long_exposure_is_not_taken():
    code = bright_scene()
    code[:, 40:60] -= 0.3  # an edge on either side
    smeared = box_mean(rearrange(code, "h w c -> 1 c h w"), 9)[0].movedim(0, -1)
    truth = code**2.2 / 4
    kept = preserved(truth, clip(smeared, 4.0), noise=NOISELESS)
    smear = error(clip(smeared, 4.0).radiance([0])[0], truth, slice(30, 70))
    assert error(kept, truth, slice(30, 70)) < 0.2 * smear
    assert error(kept, truth, slice(100, 124)) < 0.2 * error(smeared**2.2 / 4, truth, slice(100, 124))


def test_blocks_of_compression_stay_out_of_the_dark():
    """An 8-bit frame whose dark half has wrong blocks, which no noise measurement sees: the estimate stays."""
    code = torch.full((1, 3, 64, 96), 0.2)
    blocks = torch.randint(-3, 4, (1, 3, 8, 12), generator=torch.Generator().manual_seed(0)) / 255
    frame = code + blocks.repeat_interleave(8, 2).repeat_interleave(8, 3)
    exposure = torch.tensor([1.0])
    for step, restored in ((1 / 255, False), (1 / 65535, True)):
        noise = torch.tensor([[1e-5, 1e-7, step]])
        kept = preserve_detail(code**2.2, frame, frame**2.2, exposure, noise)
        changed = (kept - code**2.2).abs().mean() > 0.5 * (frame**2.2 - code**2.2).abs().mean()
        assert bool(changed) == restored


def test_a_dark_object_blurred_by_long_exposures_is_restored_in_eight_bits():
    """A tenth of a dark 8-bit frame has texture that the estimate lost; elsewhere they differ by noise."""
    rng = torch.Generator().manual_seed(0)
    code = torch.full((1, 3, 96, 160), 0.25)
    code[..., 40:56] += 0.1 * (torch.arange(96)[:, None] % 4 < 2)  # lines of 2 pixels
    estimate = code.clone()
    estimate[..., 40:56] = 0.3
    noisy = code + 0.004 * torch.randn(code.shape, generator=rng)
    level = torch.tensor([[3e-4, 1e-6, 1 / 255]])
    kept = preserve_detail(estimate**2.2, noisy, noisy**2.2, torch.tensor([1.0]), level)
    lost, left = ((x - code**2.2)[..., 4:-4, 44:52].square().mean() for x in (estimate**2.2, kept))
    assert left < 0.1 * lost
    apart = slice(80, 152)
    assert torch.allclose(kept[..., apart], estimate[..., apart] ** 2.2, atol=1e-3)
