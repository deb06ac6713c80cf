import errno
import sys
from fractions import Fraction

import OpenEXR
import pytest
import torch
from child import run_child
from hdrweave.hdr.gamut import GAMUTS, convert
from hdrweave.hdr.io.exr import read_exr
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence, LazyFrames
from hdrweave.stages.clip.load import load_hdr
from hdrweave.stages.output.save import save_sequence


@pytest.fixture
def hdr():
    return torch.rand(5, 9, 11, 3, generator=torch.Generator().manual_seed(0)) * 3


@pytest.fixture
def sequence():
    exposures = torch.tensor([1.0, 8, 1, 8, 1])
    return ExposureSequence(torch.zeros(5, 9, 11, 3), exposures, response_named("gamma2.2"), 2)


def test_compositing_scale_names_and_metadata(tmp_path, hdr, sequence):
    report = save_sequence(hdr, tmp_path, "film/shot", sequence=sequence, metadata={"prompt": "{}"})
    assert report.folder == tmp_path / "film" / "shot_v001" and report.factor == 8
    assert [p.name for p in report.paths] == [f"shot.{n}.exr" for n in range(1001, 1006)]
    torch.testing.assert_close(load_hdr(report.folder, gain=1 / 8), hdr, rtol=1e-3, atol=1e-6)
    header = OpenEXR.File(str(report.paths[1])).header()
    assert header["framesPerSecond"] == 24 and header["hdrweaveExposure"] == 8 and header["prompt"] == "{}"
    assert header["hdrweavePattern"] == "1, 8" and header["hdrweaveResponse"] == "gamma2.2"
    assert header["hdrweaveScale"] == "compositing" and "longest exposure" in header["comments"]


def test_research_scale_float_is_exact_and_lazy_frames_do(tmp_path, hdr):
    lazy = LazyFrames(hdr.shape, lambda indices: hdr[indices])
    report = save_sequence(lazy, tmp_path, "a", "exr float", "PIZ", "research", start=0, padding=6, fps=23.976)
    assert report.paths[0].name == "a.000000.exr" and report.factor == 1
    assert torch.equal(load_hdr(report.paths[2]), hdr)
    assert torch.equal(load_hdr(report.folder / "a.######.exr", start=1, count=2), hdr[1:3])
    assert OpenEXR.File(str(report.paths[0])).header()["framesPerSecond"] == Fraction(24000, 1001)


def test_radiance_files(tmp_path, hdr):
    report = save_sequence(hdr, tmp_path, "a", "hdr", scale="research")
    assert report.paths[0].suffix == ".hdr"
    torch.testing.assert_close(load_hdr(report.folder), hdr, rtol=0, atol=3 / 128)


def test_a_second_run_gets_its_own_folder(tmp_path, hdr):
    folders = [save_sequence(hdr[:1] * k, tmp_path, "a", scale="research").folder.name for k in range(3)]
    assert folders == ["a_v001", "a_v002", "a_v003"]
    assert load_hdr(tmp_path / "a_v001").max() == 0


@pytest.mark.parametrize("prefix", ["../out", "/etc/out", "a/../../out", "", ".", "link/out"])
def test_nothing_leaves_the_output_folder(tmp_path, hdr, prefix):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="stays inside"):
        save_sequence(hdr, root, prefix, scale="research")
    assert [p.name for p in tmp_path.rglob("*")] == ["root", "link"]


def test_overflow_and_nan_are_reported(tmp_path, hdr):
    hdr[0, 0, 0], hdr[3, 1, 1, 0], hdr[4, 0, 0, 2] = 1e6, float("nan"), float("inf")
    report = save_sequence(hdr, tmp_path, "a", scale="research")
    assert (report.clamped, report.nan) == (4, 1)
    assert "4 values beyond the range" in str(report) and "1 values were not a number" in str(report)
    assert load_hdr(report.folder).isfinite().all()


@pytest.mark.parametrize("done", [0, 3])
def test_a_full_disk_leaves_complete_frames_only(tmp_path, hdr, monkeypatch, done):
    written = []

    class Full(OpenEXR.File):
        def write(self, path):
            written.append(path)
            if len(written) > done:
                open(path, "wb").write(b"half a file")
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write(path)

    monkeypatch.setattr(OpenEXR, "File", Full)
    with pytest.raises(OSError, match=rf"the disk is full.*\({done} of 5 frames are complete in .*a_v001\)"):
        save_sequence(hdr, tmp_path, "a", scale="research")
    monkeypatch.undo()
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == done
    if done:
        assert len(load_hdr(tmp_path / "a_v001")) == done
    else:
        assert not list(tmp_path.iterdir())


def test_an_interrupted_run_leaves_complete_frames_only(tmp_path, hdr):
    class Cancelled(BaseException):
        pass

    def progress(index, total):
        assert total == 5
        if index == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        save_sequence(hdr, tmp_path, "a", scale="research", progress=progress)
    assert len(load_hdr(tmp_path / "a_v001")) == 2
    assert len(list((tmp_path / "a_v001").iterdir())) == 2


def test_exposures_of_another_clip_are_refused(tmp_path, hdr, sequence):
    for frames, words in ((hdr[:4], "has 4 frames, the exposures 5"), (hdr.repeat(2, 1, 1, 1), "has 10 frames")):
        with pytest.raises(ValueError, match=words):
            save_sequence(frames, tmp_path, "a", sequence=sequence)
    assert not list(tmp_path.iterdir())


def test_bad_arguments(tmp_path, hdr):
    for changes, message in (
        ({"scale": "compositing"}, "needs the exposures"),
        ({"gamut": "sRGB"}, "gamut is 'sRGB'"),
        ({"gamut": "ACEScg", "file_format": "hdr"}, "hdr files hold Rec.709"),
        ({"layers": {"vote": torch.zeros(5, 9, 12, 3)}}, r"vote has shape \(5, 9, 12, 3\), the frames \(5, 9, 11, 3\)"),
        ({"layers": {"vote": hdr}, "file_format": "hdr"}, "hdr files have no layers.*disconnect vote"),
        ({"scale": "big"}, "scale is 'big'"),
        ({"file_format": "png"}, "format is 'png'"),
        ({"scale": "research", "compression": "LZW"}, "compression is 'LZW'"),
    ):
        with pytest.raises(ValueError, match=message):
            save_sequence(hdr, tmp_path, "a", **changes)
    for bad in (hdr[0], hdr[:0], hdr[..., :1], hdr[:, :0]):
        with pytest.raises(ValueError, match=r"frames have shape"):
            save_sequence(bad, tmp_path, "a", scale="research")
    for bad in (hdr.numpy(), hdr.to_sparse(), hdr.to("meta"), hdr.to(torch.complex64)):
        with pytest.raises(ValueError, match="give a dense tensor of real numbers"):
            save_sequence(bad, tmp_path, "a", scale="research")
    assert not list(tmp_path.iterdir())


KILLED = """
import os, sys, torch
from hdrweave.stages.output.save import save_sequence

class Frames:
    shape = (6, 256, 256, 3)
    def __len__(self):
        return 6
    def __getitem__(self, index):
        if index == int(sys.argv[2]):
            import OpenEXR
            class Killed(OpenEXR.File):
                def write(self, path):
                    open(path, "wb").write(b"half a file")
                    os.kill(os.getpid(), 9)
            OpenEXR.File = Killed
        return torch.full((256, 256, 3), float(index))

save_sequence(Frames(), sys.argv[1], "a", scale="research")
"""


def test_a_killed_save_is_told_and_cleaned(tmp_path, hdr):
    for killed_at in (0, 4):
        assert run_child(KILLED, tmp_path, killed_at).returncode == -9
    leftovers = sorted(p.name for p in tmp_path.rglob("*") if p.is_file() and ".partial" in p.name)
    assert [name.split("-")[0] for name in leftovers] == [".a.1005.partial"]  # the first was removed by the second run
    with pytest.raises(ValueError, match="a_v002 is incomplete: saving ended after 4 of 6 frames"):
        load_hdr(tmp_path / "a_v002")
    with pytest.raises(ValueError, match="a_v001 is incomplete: saving ended before its first frame"):
        load_hdr(tmp_path / "a_v001")
    assert [float(f.mean()) for f in load_hdr(tmp_path / "a_v002", count=4)] == [0, 1, 2, 3]
    assert save_sequence(hdr, tmp_path, "a", scale="research").folder.name == "a_v003"
    assert not [p for p in tmp_path.rglob("*") if ".partial" in p.name]
    assert len(load_hdr(tmp_path / "a_v003")) == 5


@pytest.mark.parametrize("prefix", ["a\0b", "x" * 300, "y" * 2000, "a\nb", "\ud800", None, 3])
def test_prefixes_that_no_disk_takes(tmp_path, hdr, prefix):
    with pytest.raises((ValueError, OSError), match="prefix|no folder can be made") as caught:
        save_sequence(hdr, tmp_path, prefix, scale="research")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("prefix", ["a:b", "%date:yyyy%/a", "a?", "shots/aux", "NUL/a", "com1.x"])
def test_prefixes_that_windows_does_not_write(tmp_path, hdr, prefix, monkeypatch):
    monkeypatch.setattr("hdrweave.stages.output.versions.WINDOWS", True)
    with pytest.raises(ValueError, match="gives names that Windows does not write"):
        save_sequence(hdr, tmp_path, prefix, scale="research")
    assert not list(tmp_path.iterdir())
    assert save_sequence(hdr, tmp_path, "auxiliary/con_1", scale="research").paths


def test_a_folder_that_may_not_be_written(tmp_path, hdr, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(type(tmp_path), "mkdir", refuse)
    with pytest.raises(OSError, match="no folder can be made in .*Permission denied.*give another prefix"):
        save_sequence(hdr, tmp_path, "a/b", scale="research")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"fps": float("nan")}, "frame rate is nan"),
        ({"start": -1}, "start is -1"),
        ({"start": 1.5}, "start is 1.5: give a whole number"),
        ({"padding": 10**6}, "padding is 1000000"),
        ({"file_format": None}, "format is None"),
        ({"compression": "zip"}, "compression is 'zip'"),
    ],
)
def test_numbers_and_choices_are_checked_before_work(tmp_path, hdr, changes, words):
    with pytest.raises(ValueError, match=words):
        save_sequence(hdr, tmp_path, "a", **{"scale": "research", **changes})
    assert not list(tmp_path.iterdir())


def test_auto_is_the_compositing_scale_where_exposures_are_known(tmp_path, hdr, sequence):
    assert save_sequence(hdr, tmp_path, "a").factor == 1
    assert save_sequence(hdr, tmp_path, "a", sequence=sequence).factor == 8


@pytest.mark.parametrize("gamut, name", [("ACEScg", "lin_ap1_scene"), ("ACES AP0", "lin_ap0_scene")])
def test_cameras_primaries_are_converted_and_stated(tmp_path, hdr, sequence, gamut, name):
    report = save_sequence(hdr, tmp_path, "a", "exr float", sequence=sequence.with_(gamut="V-Gamut"), gamut=gamut)
    assert str(report).splitlines()[1] == f"{gamut}, radiance multiplied by 8"
    header = OpenEXR.File(str(report.paths[0])).header()
    assert header["colorInteropID"] == name and header["hdrweaveCamera"] == "V-Gamut" and gamut in header["comments"]
    assert header["chromaticities"] == pytest.approx(GAMUTS[gamut])
    written = torch.from_numpy(read_exr(report.paths[0], gamut)[0])
    torch.testing.assert_close(written, convert(hdr[0] * 8, "V-Gamut", gamut), rtol=1e-5, atol=1e-6)
    back = load_hdr(report.folder)  # in Rec.709, by Bradford's adaptation, from any gamut that is stated
    expected = convert(convert(hdr[0] * 8, "V-Gamut", gamut), gamut, "Rec.709")
    torch.testing.assert_close(back[0], expected, rtol=1e-3, atol=1e-3)


def test_the_clips_timecode_goes_on(tmp_path, hdr, sequence):
    report = save_sequence(hdr, tmp_path, "a", sequence=sequence.with_(timecode="10:00:59:22"))
    code = OpenEXR.File(str(report.paths[3])).header()["timeCode"]
    assert (code.hours, code.minutes, code.seconds, code.frame, code.dropFrame) == (10, 1, 0, 1, 0)
    report = save_sequence(hdr, tmp_path, "a", sequence=sequence.with_(timecode="10:00:59:22"), fps=25)
    assert "timeCode" not in OpenEXR.File(str(report.paths[3])).header()
    assert "timecode 10:00:59:22 is left out: it counts 24 frames a second, not 25" in str(report)
    film = sequence.with_(timecode="10:00:59:22", fps=Fraction(24000, 1001))
    report = save_sequence(hdr, tmp_path, "a", sequence=film, fps=float(film.fps))  # wired from the loader
    assert "timeCode" in OpenEXR.File(str(report.paths[3])).header() and not report.notes


def test_layers_lie_beside_the_picture(tmp_path, hdr):
    vote, mask = torch.rand_like(hdr), torch.rand(hdr.shape[:3])
    mask[1, 0, 0] = float("nan")
    report = save_sequence(hdr, tmp_path, "a", "exr float", layers={"vote": vote, "motion_mask": mask})
    channels = OpenEXR.File(str(report.paths[1]), separate_channels=True).channels()
    assert set(channels) == {"R", "G", "B", "vote.R", "vote.G", "vote.B", "motion_mask.A"}
    assert (channels["vote.G"].pixels == vote[1, ..., 1].numpy()).all()
    assert (channels["motion_mask.A"].pixels == mask[1].nan_to_num(0).numpy()).all()
    assert torch.equal(load_hdr(report.folder), hdr)


LIMITED = """
import resource, signal, sys, torch
from hdrweave.stages.output.save import save_sequence
from hdrweave.stages.output.save_video import save_video
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does by itself
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
frames = torch.rand(3, 96, 128, 3, generator=torch.Generator().manual_seed(0))
for what in ("exr half", "hdr", "FFV1 16 bit (mkv)"):
    try:
        if what.startswith("FFV1"):
            save_video(frames, sys.argv[1], file_format=what)
        else:
            save_sequence(frames, sys.argv[1], file_format=what, scale="research")
    except OSError as error:
        print(what, "|", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of file sizes")
@pytest.mark.parametrize("limit", [0, 20_000])
def test_files_that_the_disk_does_not_take(tmp_path, limit):
    """As on a disk with FAT32, or under ulimit -f."""
    ended = run_child(LIMITED, tmp_path / "out", limit)
    lines = ended.stdout.splitlines()
    assert [line.split(" |")[0] for line in lines] == ["exr half", "hdr", "FFV1 16 bit (mkv)"], ended.stderr
    assert all("larger than the disk takes" in line or "cannot be encoded: free space" in line for line in lines), lines
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
