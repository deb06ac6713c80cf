"""Picture profiles that crush shadows: they are raised in short exposures to what the long ones recorded."""

import pytest
import torch
from hdrweave.hdr.shadow_tone import BIN_EDGES, shadow_curve, shadow_offsets, shadow_table
from hdrweave.stages.clip.black_level import match_black_level
from hdrweave.stages.systems.table import SYSTEMS
from moving_texture import radiance, sequence

COUNT, RATIO, CUT = 8, 16.0, 0.1


def profile(light):
    """gamma 2.2, codes below CUT clipped to black."""
    code = ((light.clamp(0, 1) ** (1 / 2.2) - CUT) / (1 - CUT)).clamp(0, 1)
    return (code * 255).round() / 255


@pytest.fixture(scope="module")
def light():
    return 0.03 * radiance(COUNT, (96, 160), stops=4)


@pytest.fixture(scope="module")
def crushed(light):
    exposures = [1.0, RATIO] * (COUNT // 2)
    codes = profile(light * torch.tensor(exposures)[:, None, None, None])
    return sequence(codes, exposures, period=2)


def test_shadows_are_raised_to_those_of_the_long_exposure(light, crushed):
    matched = match_black_level(crushed)
    before, after = (x.response.decode(x.frames[2]) for x in (crushed, matched))
    seen = ((light[2] * RATIO < 0.8) & (crushed.frames[2] > 5 / 255)).all(-1)
    off = [torch.log2(x[seen] / light[2][seen]).abs().median() for x in (before, after)]
    assert off[0] > 1 and off[1] < 0.35
    assert torch.equal(matched.frames[3], crushed.frames[3])
    assert (matched.frames[2][crushed.frames[2] == 0] == 0).all()


def test_shadows_of_short_frames_come_from_long_neighbours(light, crushed):
    result = SYSTEMS["classical"].run(match_black_level(crushed), "cpu")
    for t in (3, 4):
        well = ((light[t] * RATIO > 0.15) & (light[t] * RATIO < 0.8)).all(-1)
        off = torch.log2(result[t][well].mean(-1) / light[t][well].mean(-1)).abs()
        assert (off > 1).float().mean() < 0.03 and (off > 0.5).float().mean() < 0.1


def test_a_wrong_ratio_is_no_profile(light):
    codes = (light * torch.tensor([1.0, RATIO] * (COUNT // 2))[:, None, None, None]).clamp(0, 1) ** (1 / 2.2)
    wrong = sequence(codes, [1.0, 2 * RATIO] * (COUNT // 2), period=2)
    captured = codes[2][codes[3].amax(-1) < 0.95]
    offsets = shadow_offsets(captured, captured * 2 ** (1 / 2.2))
    assert shadow_curve(offsets.expand(4, -1)) is None
    right = sequence(codes, [1.0, RATIO] * (COUNT // 2), period=2)
    for clip in (wrong, right):
        assert (match_black_level(clip).frames[2] - clip.frames[2]).abs().max() < 17 / 255


def test_a_steady_offset_becomes_a_curve():
    offsets = torch.full((4, len(BIN_EDGES) - 1), 20 / 255)
    table = shadow_table(shadow_curve(offsets))
    assert table[0] == 0 and table[-1] == pytest.approx(1, abs=1e-3) and (table.diff() >= 0).all()
    assert shadow_curve(offsets[:2]) is None and shadow_curve(offsets / 4) is None
