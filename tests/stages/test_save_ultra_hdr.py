import pytest
import torch
from hdrweave.hdr.gamut import convert
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.stages.output.look import look
from hdrweave.stages.output.save_ultra_hdr import save_ultra_hdr


@pytest.fixture
def hdr():
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.rand(5, 3, 5, 6, generator=generator), size=(33, 41), mode="bilinear"
    )
    return (smooth.movedim(1, -1) * 2) ** 4 / 8


def test_pictures_of_chosen_frames_are_written(tmp_path, hdr):
    clip = ExposureSequence(
        torch.zeros_like(hdr), torch.tensor([1.0, 8, 1, 8, 1]), response_named("gamma2.2"), 2, gamut="V-Gamut"
    )
    report = save_ultra_hdr(hdr, tmp_path, "a/still", sequence=clip)
    assert [p.name for p in report.paths] == ["still.0002.jpg"] and report.frames == (2,)
    display, gain = look(hdr, sequence=clip, even=False)
    shown = read_image(report.paths[0])[0] / 255
    assert shown.shape == (33, 41, 3) and abs(shown - display[2].numpy()).mean() < 0.01
    peak = float((convert(hdr[2], "V-Gamut", "Rec.709") * gain).max())
    assert report.headroom == pytest.approx(torch.tensor(min(peak, 1000 / 203)).log2().item(), abs=0.01)
    steps = []
    shown = lambda done, total: steps.append(done / total)  # noqa: E731
    every = save_ultra_hdr(hdr, tmp_path, "a/still", "all", peak=400, progress=shown)
    assert len(steps) > 10 and steps == sorted(set(steps)) and steps[-1] == 1
    assert len(every.paths) == 5 and every.paths[0].parent.name == "still_v002" and every.headroom <= 0.98
    assert "5 pictures in" in str(every)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"which": "best"}, "frames is 'best'"),
        ({"peak": 100}, "peak is 100"),
        ({"quality": 0}, "quality is 0"),
        ({"name": None}, "look is None"),
        ({"prefix": "../a"}, "stays inside"),
    ],
)
def test_bad_arguments_leave_nothing(tmp_path, hdr, changes, words):
    with pytest.raises(ValueError, match=words):
        save_ultra_hdr(hdr, tmp_path / "root", **changes)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
