import pytest
import torch
from hdrweave.hdr.gamut import convert
from hdrweave.hdr.looks import agx, graded
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence, LazyFrames
from hdrweave.stages.output.look import LOOKS, look


@pytest.fixture
def hdr():
    generator = torch.Generator().manual_seed(0)
    return 2 ** (6 * torch.rand(7, 33, 41, 3, generator=generator) - 6)


def clip(count, gamut="Rec.709"):
    exposures = torch.tensor([1.0, 8]).repeat(count)[:count]
    return ExposureSequence(torch.zeros(count, 33, 41, 3), exposures, response_named("gamma2.2"), 2, gamut=gamut)


@pytest.mark.parametrize("name", LOOKS)
def test_every_look_gives_even_pictures_of_every_frame(hdr, name):
    lazy = LazyFrames(hdr.shape, lambda indices: hdr[indices])
    display, gain = look(lazy, name)
    assert display.shape == (7, 32, 40, 3) and display.min() >= 0 and display.max() <= 1
    assert 0.2 < display.mean() < 0.7 and 1 < gain < 4
    assert look(hdr, name, even=False)[0].shape == hdr.shape
    alone = look(hdr, name, brightness="radiance", even=False)[0]
    if name != "local":  # whose range is the clip's
        torch.testing.assert_close(look(hdr[3:4], name, brightness="radiance", even=False)[0], alone[3:4])


def test_brightness(hdr):
    assert look(hdr, brightness="radiance")[1] == 1
    assert look(hdr, brightness="longest exposure", sequence=clip(7), exposure=-1)[1] == 4
    shown = [look(hdr * factor)[0] for factor in (1, 0.01)]
    torch.testing.assert_close(*shown, atol=1e-4, rtol=0)  # auto does not depend on the unit of radiance …
    assert look(hdr * 1e-6, sequence=clip(7))[1] == 32  # … but does not turn night into day
    assert look(hdr * 0)[1] == 1 and look(hdr * 0)[0].max() < 0.02
    with pytest.raises(ValueError, match="needs the exposures"):
        look(hdr, brightness="longest exposure")


def test_cameras_primaries_are_converted(hdr):
    ours = look(hdr, brightness="radiance", sequence=clip(7, "S-Gamut3.Cine"), even=False)[0]
    torch.testing.assert_close(ours, agx(graded(convert(hdr, "S-Gamut3.Cine", "Rec.709"), 1, 1, 1, 0)))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"name": "film"}, "look is 'film'"),
        ({"exposure": float("nan")}, "exposure is nan"),
        ({"contrast": 0}, "contrast is 0"),
        ({"saturation": -1}, "saturation is -1"),
        ({"roll_off": 1}, "roll_off is 1"),
        ({"brightness": 3}, "brightness is 3"),
    ],
)
def test_bad_arguments(hdr, changes, words):
    with pytest.raises(ValueError, match=words):
        look(hdr, **changes)


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("graded_by", [{}, {"exposure": 20, "contrast": 4, "saturation": 4}, {"roll_off": 0.95}])
def test_light_of_any_size_gives_a_picture(name, graded_by):
    hdr = torch.tensor([0.5, 0.01, 1e38, 65504, 1e38, 3e38, -1e38, float("inf"), float("nan")]).view(1, 1, 3, 3)
    shown = look(hdr, name, **graded_by)[0]
    assert shown.isfinite().all() and shown.min() >= 0 and shown.max() <= 1
