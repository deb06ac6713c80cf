"""Blacks of short exposures matched to the longest: a known tint comes out, clean clips and hopeless ones stay."""

import pytest
import torch
from hdrweave.hdr.sequence import LazyFrames
from hdrweave.stages.clip.black_level import FRAMES, match_black_level
from moving_texture import captured, radiance, sequence

TINT = torch.tensor([-2.0, -4.0, 9.0]) / 255
SIZE = (96, 160)


def grey(count: int) -> torch.Tensor:
    """Radiance (T,H,W,3) of a panned, dark texture, coloured a little."""
    light = radiance(count, SIZE, stops=2)
    return 0.1 * (0.3 * light + 0.7 * light.mean(-1, keepdim=True))


def tinted(code: torch.Tensor) -> torch.Tensor:
    """A tint that fades towards brighter pixels."""
    return code + TINT * torch.exp(-code.mean(-1, keepdim=True) / (25 / 255))


def clip(count: int, exposures, tint: bool, noise: float = 0.003):
    light, pattern = grey(count), [exposures[t % len(exposures)] for t in range(count)]
    clean = captured(light, pattern, noise=noise, bits=16)
    short = torch.tensor(pattern)[:, None, None, None] < max(pattern)
    frames = torch.where(short, tinted(clean), clean) if tint else clean
    rounded = (frames.clamp(0, 1) * 255).round() / 255
    return sequence(rounded, pattern, period=len(exposures)), clean


@pytest.mark.parametrize("exposures", [[1.0, 8.0], [1.0, 4.0, 16.0]])
def test_a_known_tint_is_taken_out(exposures):
    given, clean = clip(9, exposures, tint=True)
    matched = match_black_level(given)
    for t in (given.exposures == 1).nonzero()[:, 0].tolist():
        before, after = (255 * (x.frames[t] - clean[t]).mean((0, 1)).abs().max() for x in (given, matched))
        assert before > 2 and after < 1
    longest = given.exposures == max(exposures)
    assert torch.equal(matched.frames[longest.nonzero()[:, 0]], given.frames[longest])


def test_a_clip_is_matched_once():
    matched = match_black_level(clip(9, [1.0, 8.0], tint=True)[0])
    assert match_black_level(matched) is matched


@pytest.mark.parametrize("exposures", [[1.0, 8.0], [1.0, 4.0, 16.0]])
def test_a_clean_clip_stays(exposures):
    given, _ = clip(9, exposures, tint=False)
    assert 255 * (match_black_level(given).frames[:] - given.frames[:]).abs().max() < 0.5


@pytest.mark.parametrize(
    "count, exposures", [(1, [1.0]), (6, [1.0]), (1, [1.0, 8.0]), (2, [1.0, 8.0]), (3, [1.0, 4.0, 16.0])]
)
def test_what_cannot_be_measured_stays_as_captured(count, exposures):
    given, _ = clip(count, exposures, tint=True)
    assert match_black_level(given) is given


def test_without_overlap_nothing_changes():
    """The longest exposure is all white."""
    given, _ = clip(8, [1.0, 8.0], tint=True)
    white = torch.where((given.exposures > 1)[:, None, None, None], torch.ones(()), given.frames)
    assert match_black_level(given.with_(frames=white)).frames is white


def test_a_long_clip_is_not_read_whole():
    given, _ = clip(80, [1.0, 8.0], tint=True)
    read = set()

    def frames(indices):
        read.update(indices)
        return given.frames[indices]

    matched = match_black_level(given.with_(frames=LazyFrames(given.frames.shape, frames)))
    assert len(read) <= 3 * FRAMES and max(read) >= 76
    assert matched.frames[[2]].shape == (1, *SIZE, 3)


def test_large_frames_are_compared_small():
    small, _ = clip(7, [1.0, 8.0], tint=True)
    large = small.with_(frames=small.frames.repeat_interleave(5, 1).repeat_interleave(5, 2))
    a, b = match_black_level(small).frames[2], match_black_level(large).frames[2][2::5, 2::5]
    assert large.size == (480, 800) and 255 * (a - b).abs().mean() < 0.7
