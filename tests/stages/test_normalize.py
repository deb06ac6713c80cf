"""Exposure Normalization: one curve, one scale, nothing lost on the way."""

import pytest
import torch
from hdrweave.hdr.response import RESPONSES, response_named
from hdrweave.hdr.sequence import ExposureSequence, LazyFrames
from hdrweave.stages.clip.normalize import linear_and_gamma, normalize


def coded(light: torch.Tensor, exposures, response: str, period: int = 2) -> ExposureSequence:
    """Radiance (T,H,W,3) as captured through a response, without noise."""
    exposures = torch.tensor(exposures)
    curve = response_named(response)
    return ExposureSequence(curve.encode(light * exposures[:, None, None, None]), exposures, curve, period)


@pytest.fixture
def light():
    """Radiance between 0.004 and 0.12, so that an exposure of 8 does not clip."""
    generator = torch.Generator().manual_seed(0)
    return 0.004 + 0.116 * torch.rand(4, 5, 7, 3, generator=generator)


@pytest.mark.parametrize("response", [*RESPONSES, "gamma2.6"])
def test_any_response_becomes_gamma_and_keeps_its_radiance(light, response):
    sequence = coded(light, [1.0, 8.0, 1.0, 8.0], response)
    normalized = normalize(sequence)
    assert normalized.response.name == "gamma2.2"
    expected = (light * sequence.exposures[:, None, None, None]) ** (1 / 2.2)
    assert torch.allclose(normalized.frames[:], expected, atol=1e-4)
    assert torch.allclose(normalized.radiance(range(4)), light, rtol=2e-3, atol=1e-5)


def test_code_ends_stay_where_they_are():
    for response in RESPONSES:
        ends = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 1, 1, 3)
        sequence = ExposureSequence(ends, torch.tensor([1.0, 4.0]), response_named(response), 2)
        assert torch.allclose(normalize(sequence).frames[:], ends, atol=1e-3), response


def test_the_shortest_exposure_becomes_one(light):
    sequence = coded(light, [1.0, 8.0, 1.0, 8.0], "gamma2.2")
    in_seconds = sequence.with_(exposures=sequence.exposures / 500)
    assert normalize(in_seconds).exposures.tolist() == pytest.approx([1, 8, 1, 8])
    assert normalize(in_seconds).frames is sequence.frames


def test_only_the_frames_that_are_read_are_converted(light):
    asked = []

    def read(indices):
        asked.extend(indices)
        return light[indices]

    source = coded(light, [1.0, 8.0, 1.0, 8.0], "sRGB").with_(frames=LazyFrames(light.shape, read))
    normalized = normalize(source)
    assert asked == []
    normalized.frames[[2]]
    assert asked == [2]


def test_what_belongs_to_the_clip_goes_along(light):
    sequence = coded(light, [1.0, 8.0, 1.0, 8.0], "sRGB").with_(fps=25, source="a.mov", warnings=("careful",))
    normalized = normalize(sequence)
    assert (normalized.fps, normalized.source, normalized.warnings) == (25, "a.mov", ("careful",))
    assert normalized.period == 2 and normalized.size == (5, 7)


@pytest.mark.parametrize("response", ["gamma2.2", "sRGB", "S-Log3"])
def test_the_pair_shows_all_exposures_equally_bright(light, response):
    still = light[:1].expand(4, -1, -1, -1)
    told = []
    normalized = normalize(coded(still, [1.0, 8.0, 1.0, 8.0], response))
    linear, gamma = linear_and_gamma(normalized, lambda done, total: told.append((done, total)))
    assert linear.shape == gamma.shape == still.shape and told[-1] == (4, 4)
    assert torch.allclose(linear, still, rtol=2e-3, atol=1e-5)
    assert torch.allclose(gamma, still ** (1 / 2.2), atol=1e-3)


def test_only_the_first_frames_are_shown_where_so_many_are_wanted(light):
    normalized = normalize(coded(light, [1.0, 8.0, 1.0, 8.0], "sRGB"))
    whole, first = linear_and_gamma(normalized), linear_and_gamma(normalized, count=1)
    assert all(len(b) == 1 and torch.allclose(a[:1], b) for a, b in zip(whole, first, strict=True))


def test_clipping_shows_at_the_exposures_own_level():
    """What clips in frame k reads 1/exposure there, on the linear picture."""
    sequence = coded(torch.full((3, 2, 2, 3), 0.9), [1.0, 4.0, 16.0], "sRGB", 3)
    linear, gamma = linear_and_gamma(normalize(sequence))
    assert linear[:, 0, 0, 0].tolist() == pytest.approx([0.9, 1 / 4, 1 / 16], rel=1e-3)
    assert gamma.max() <= 1
