import pytest
import torch
from hdrweave.hdr.sequence import FlowField
from hdrweave.stages.report.flow import colour_wheel, flow_colours, typical_speed, view_flow


def field(motion, count=4, size=(40, 60), confidence=1.0):
    flow = torch.tensor(motion).float().view(1, 2, 1, 1).expand(count, 2, 20, 30)
    return FlowField(size, {1: flow, -1: -flow}, {o: torch.full((count, 1, 20, 30), confidence) for o in (1, -1)})


def test_wheel_is_the_published_one():
    """Table of Baker et al.'s colour code: 15, 6, 4, 11, 13 and 6 steps between the six pure hues, in code values."""
    wheel = (colour_wheel() * 255).round().int().tolist()
    pure = {0: (255, 0, 0), 15: (255, 255, 0), 21: (0, 255, 0), 25: (0, 255, 255), 36: (0, 0, 255), 49: (255, 0, 255)}
    assert len(wheel) == 55 and all(wheel[k] == list(rgb) for k, rgb in pure.items())
    assert wheel[1] == [255, 17, 0] and wheel[16] == [213, 255, 0] and wheel[54] == [255, 0, 43]


@pytest.mark.parametrize(
    ("motion", "rgb"),
    [
        ((0.0, 0.0), (1, 1, 1)),
        ((1.0, 0.0), (1, 0, 0)),
        ((0.5, 0.0), (1, 0.5, 0.5)),
        ((0.0, 1.0), (1, 229.5 / 255, 0)),  # halfway between steps 13 and 14, almost yellow
        ((-1.0, 0.0), (0, 209 / 255, 1)),
        ((2.0, 0.0), (0.75, 0, 0)),
    ],
)
def test_colours_of_known_motion(motion, rgb):
    picture = flow_colours(torch.tensor(motion).view(1, 2, 1, 1))
    assert picture.flatten().tolist() == pytest.approx(rgb, abs=0.5 / 255)


def test_speed_is_one_figure_for_the_clip():
    flow = field((3.0, 4.0))
    assert typical_speed(flow, 1) == pytest.approx(5.0)
    assert typical_speed(field((0.0, 0.0)), 1) == 1.0
    pictures, _ = view_flow(flow, 1, legend=False)
    expected = flow_colours(torch.tensor([0.6, 0.8]).view(1, 2, 1, 1)).flatten()
    torch.testing.assert_close(pictures, expected.expand(4, 40, 60, 3), atol=1e-5, rtol=0)


def test_confidence_dims_and_is_returned():
    bright, confidence = view_flow(field((3.0, 0.0), confidence=0.25), -1, max_speed=6, legend=False)
    dim, _ = view_flow(field((3.0, 0.0), confidence=0.25), -1, max_speed=6, dim_by_confidence=True, legend=False)
    assert confidence.shape == (4, 40, 60) and confidence.unique().tolist() == [0.25]
    torch.testing.assert_close(dim, bright * 0.25)


def test_legend_stays_in_its_corner():
    plain, _ = view_flow(field((0.0, 0.0), size=(120, 200)), legend=False)
    drawn, _ = view_flow(field((0.0, 0.0), size=(120, 200)), legend=True)
    assert torch.equal(plain[:, :80], drawn[:, :80]) and not torch.equal(plain[:, 90:], drawn[:, 90:])


def test_a_picture_that_is_smaller_than_the_legend_has_none():
    given = field((1.0, 0.0), size=(8, 40))
    with_legend, without = (view_flow(given, 1, 4.0, False, legend)[0] for legend in (True, False))
    assert torch.equal(with_legend, without)


def test_missing_offset_is_named():
    with pytest.raises(ValueError, match=r"\+2 in this field: choose one of \+1, -1"):
        view_flow(field((1.0, 0.0)), 2)
