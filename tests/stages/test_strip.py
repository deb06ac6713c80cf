import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.stages.report.exposure_strip import _contact_frames, exposure_strip, parse_evs


def clip(count=8, size=(36, 64)):
    exposures = torch.tensor([1.0, 8.0]).repeat(count // 2)
    return ExposureSequence(torch.full((count, *size, 3), 0.5), exposures, response_named("gamma2.2"), 2)


def tile_values(strip, columns):
    """Middle of each tile of a single-row strip."""
    width = strip.shape[2]
    return [strip[0, strip.shape[1] // 2, (2 * k + 1) * width // (2 * columns)].mean().item() for k in range(columns)]


def test_every_column_is_what_a_camera_would_give():
    hdr = torch.full((3, 36, 64, 3), 0.1)
    strip = exposure_strip(hdr, (-2.0, 0.0, 2.0, 4.0), frame=1, width=640)
    expected = [(0.1 * 2.0**ev) ** (1 / 2.2) for ev in (-2, 0, 2)] + [1.0]
    assert tile_values(strip, 4) == pytest.approx(expected, abs=1e-3)


def test_ev_0_is_the_longest_exposure_and_the_capture_comes_first():
    hdr = torch.full((8, 36, 64, 3), 1 / 16)
    strip = exposure_strip(hdr, (0.0, 2.0), clip(), frame=2, width=640)
    assert tile_values(strip, 3) == pytest.approx([0.5, 0.5 ** (1 / 2.2), 1.0], abs=1e-3)


@pytest.mark.parametrize("size", [(136, 256), (540, 960), (64, 36)])
def test_contact_sheet_has_the_width_asked_for(size):
    sheet = exposure_strip(torch.rand(5, *size, 3), rows=3, width=1280)
    tile = (1280 - 6 * 3) // 5 * size[0] / size[1]
    assert sheet.shape[0] == 1 and sheet.shape[2] == 1280
    assert sheet.shape[1] == pytest.approx(3 * tile, rel=0.15) and sheet.min() >= 0 and sheet.max() <= 1
    assert sheet[0, :20].amax() > 0.7  # the words over the columns


@pytest.mark.parametrize(("count", "rows", "period"), [(24, 4, 2), (7, 4, 2), (100, 6, 3), (3, 4, 3), (1, 4, 1)])
def test_contact_frames_lie_in_the_clip_and_show_every_exposure(count, rows, period):
    frames = _contact_frames(count, rows, period)
    assert frames == sorted(set(frames)) and 0 <= frames[0] and frames[-1] < count
    assert len({t % period for t in frames}) == min(period, rows)


def test_infinite_values_do_not_reach_the_picture():
    assert exposure_strip(torch.full((1, 8, 8, 3), float("nan")), frame=0).isfinite().all()


@pytest.mark.parametrize("words", ["", "a, b", "1 2", "nan", ",".join("1" * 13)])
def test_bad_evs(words):
    with pytest.raises(ValueError, match="write for instance"):
        parse_evs(words)


def test_evs_are_read():
    assert parse_evs(" -4, 0,+2.5 ") == (-4.0, 0.0, 2.5)


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match="frames 0 to 7"):
        exposure_strip(torch.zeros(8, 36, 64, 3), frame=8)
    with pytest.raises(ValueError, match="7 frames of 64x36.* 8 frames of 64x36"):
        exposure_strip(torch.zeros(7, 36, 64, 3), sequence=clip())
