"""A folder that many processes write one clip into: what is skipped, taken up, refused and delivered."""

import errno
import gc
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch
from child import run_child
from hdrweave.hdr import scratch
from hdrweave.hdr.io.atomic import write_once
from hdrweave.hdr.io.exr import read_exr, write_exr
from hdrweave.hdr.io.exr_header import is_whole, read_header
from hdrweave.hdr.io.video_files import video_info
from hdrweave.hdr.survey import read_survey
from hdrweave.stages.clip.incomplete import MARK
from hdrweave.stages.clip.load import load_clip, load_hdr
from hdrweave.stages.farm import deliver as deliver_module
from hdrweave.stages.farm import job as job_module
from hdrweave.stages.farm.__main__ import main
from hdrweave.stages.farm.deliver import deliver, listed, parse_frames
from hdrweave.stages.farm.job import JOB, SURVEY, Settings, next_job, open_job, start_job, write_range
from hdrweave.stages.farm.steps import name_of
from hdrweave.stages.reconstruct import prepared
from hdrweave.stages.systems.classical import classical
from moving_texture import captured, radiance
from small_clips import write_png

COUNT = 10
SETTINGS = Settings("classical")
TEMPLATE = Path(__file__).parents[2] / "scripts" / "farm_job.yaml"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("take7")
    for t, frame in enumerate(captured(radiance(COUNT, (48, 64), speed=2.0), [1, 8] * (COUNT // 2), 0.1)):
        write_png(folder / f"a.{t:04d}.png", frame, np.uint16)
    return folder


@pytest.fixture(scope="module")
def whole(clip):
    """Pixels of the files that one process writes."""
    found = classical(prepared(load_clip(clip, "1x,8x"), "classical"))
    return (found * 8).half().numpy()


@pytest.fixture(scope="module")
def survey(clip, tmp_path_factory):
    return start_job(clip, tmp_path_factory.mktemp("s") / "a", replace(SETTINGS, pattern="1x,8x")).survey


@pytest.fixture
def job(clip, survey, tmp_path):
    return start_job(clip, tmp_path / "take7_v001", SETTINGS, survey=survey)


def pixels(job) -> np.ndarray:
    return np.stack([read_exr(job.path(t))[0] for t in range(COUNT)]).astype(np.float16)


def test_ranges_of_several_writers_are_the_frames_of_one(job, whole):
    assert [write_range(job, *part) for part in ((6, 10), (0, 4), (3, 7))] == [4, 4, 2]
    assert np.array_equal(pixels(job), whole)
    assert write_range(job, 0, COUNT) == 0 and job.missing() == []
    assert job.path(0).name == "take7.1001.exr"
    texts = read_header(job.path(3))[0].texts
    assert texts["hdrweaveJob"] == job.identity and texts["hdrweavePattern"] == "1, 8"


def test_ranges_of_one_process_leave_nothing_behind(job):
    gc.collect()
    before = len(scratch._maps)
    for start in range(0, COUNT, 2):
        write_range(job, start, start + 2)
        assert len(scratch._maps) <= before + 1  # the captured frames of the last range


def test_frames_have_the_timecode_of_their_place(clip, survey, tmp_path):
    job = start_job(clip, tmp_path / "a", SETTINGS, survey=replace(survey, timecode="10:00:59:22"))
    write_range(job, 3, 5)
    assert OpenEXR.File(str(job.path(3))).header()["timeCode"] == OpenEXR.TimeCode(10, 1, 0, 1, False, *[0] * 13)


def full_disk(*_):
    raise OSError("the disk is full")


def test_it_is_incomplete_until_it_is_delivered(job, monkeypatch):
    write_range(job, 0, 4)
    write_range(job, 8, 10)
    with pytest.raises(ValueError, match="incomplete"):
        load_hdr(job.folder)
    with pytest.raises(ValueError, match="4 of 10 frames are missing from .* as frames 4-7 of the clip"):
        deliver(job)
    assert (job.folder / MARK).exists()
    write_range(job, 4, 8)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="the disk is full"):
        patch.setattr(deliver_module, "_write_png", full_disk)
        deliver(job)
    assert deliver(job) == ["hdr_v001.mp4", "contact_sheet.png"]
    assert deliver(job) == ["hdr_v001.mp4", "contact_sheet.png"]  # once
    assert len(load_hdr(job.folder)) == COUNT and not (job.folder / MARK).exists()
    assert sorted(p.name for p in job.folder.iterdir() if p.suffix != ".exr") == [
        *("contact_sheet.png", "hdr_v001.mp4", JOB, SURVEY),
    ]
    assert read_survey(job.folder / SURVEY) == job.survey
    assert video_info(job.folder / "hdr_v001.mp4").transfer == 16  # PQ


def test_a_damaged_frame_is_written_again(job, whole):
    write_range(job, 0, COUNT)
    for t, size in ((2, 0), (5, 900), (9, -1)):
        content = job.path(t).read_bytes()
        job.path(t).write_bytes(content[:size])
    assert job.missing() == [2, 5, 9]
    assert write_range(job, 0, COUNT) == 3 and np.array_equal(pixels(job), whole)


@pytest.mark.parametrize("compression", ["ZIP", "PIZ", "DWAA", "none"])
def test_a_frame_is_whole_to_its_last_byte(tmp_path, compression):
    path = tmp_path / "a.exr"
    write_exr(path, torch.rand(70, 33, 3).numpy(), compression=compression)
    assert is_whole(path)
    content = path.read_bytes()
    for end in (-1, len(content) // 2, 400, 10, 0):
        path.write_bytes(content[:end])
        assert not is_whole(path), end
    assert not is_whole(tmp_path) and not is_whole(tmp_path / "b.exr")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_what_is_complete(job, whole, monkeypatch, code):
    replace, seen = os.replace, []

    def full(a, b):
        seen.append(b)
        if len(seen) == 4:
            raise OSError(code, os.strerror(code))
        replace(a, b)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="the disk is full"):
        write_range(job, 0, COUNT)
    monkeypatch.undo()
    assert job.missing() == list(range(3, COUNT)) and not list(job.folder.glob(".*.partial*"))
    assert write_range(job, 0, COUNT) == COUNT - 3 and np.array_equal(pixels(job), whole)


KILLED = """
import os, signal, sys
from hdrweave.hdr.io.atomic import temporary_path
from hdrweave.stages.farm import job
write, seen = job.write_exr, []
def killed(path, *given):
    seen.append(path)
    if len(seen) == 3:
        temporary_path(path).write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, *given)
job.write_exr = killed
job.write_range(job.open_job(sys.argv[1]), 0, 6)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_writer_leaves_whole_frames(job, whole):
    assert run_child(KILLED, job.folder).returncode == -signal.SIGKILL
    assert job.missing() == list(range(2, COUNT)) and len(list(job.folder.glob(".*.partial*"))) == 1
    write_range(job, 0, COUNT)
    deliver(job)
    assert np.array_equal(pixels(job), whole) and not list(job.folder.glob(".*.partial*"))


def test_a_job_goes_on_and_never_mixes(job, clip, survey, monkeypatch):
    assert start_job(clip, job.folder, SETTINGS).identity == job.identity  # without a survey of its own
    (job.folder / SURVEY).unlink()  # its writer was killed before
    assert read_survey(start_job(clip, job.folder, SETTINGS).folder / SURVEY) == survey
    with pytest.raises(ValueError, match=r"holds another job \(classical\): choose another folder"):
        start_job(clip, job.folder, Settings("classical", "exr float"))
    write_range(job, 0, 2)
    other = start_job(clip, job.folder.parent / "b", Settings("classical", "exr float"), survey=survey)
    job.path(0).rename(other.path(0))
    with pytest.raises(ValueError, match="is not of this job"):
        write_range(other, 0, 2)
    monkeypatch.setattr(job_module, "VERSION", "9.9")
    with pytest.raises(ValueError, match="begun by version 0.* install the same on all machines"):
        open_job(job.folder)


def test_the_first_of_two_surveys_counts(clip, survey, tmp_path, monkeypatch):
    """Two processes that begin a job in one folder at once: the second finds the job of the first."""
    exists = Path.exists
    first = start_job(clip, tmp_path / "a", SETTINGS, survey=survey)
    monkeypatch.setattr(Path, "exists", lambda p: p.name != JOB and exists(p))
    monkeypatch.setattr(Path, "iterdir", lambda p: iter(()))
    assert start_job(clip, tmp_path / "a", SETTINGS, survey=survey).identity == first.identity
    with pytest.raises(ValueError, match="another job"):
        start_job(clip, tmp_path / "a", Settings("classical", scale="research"), survey=survey)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EINVAL])  # the second on Windows: "Incorrect function"
def test_a_disk_without_hard_links(clip, survey, tmp_path, monkeypatch, code):
    def refused(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refused)
    path = start_job(clip, tmp_path / "a", SETTINGS, survey=survey).folder / JOB
    content = path.read_text()
    assert open_job(path.parent).survey == survey
    assert not write_once(path, "another") and path.read_text() == content
    assert not list(path.parent.glob(".*.partial*"))


def test_a_folder_of_other_files_is_left_alone(clip, survey, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files and no job"):
        start_job(clip, tmp_path, SETTINGS, survey=survey)
    with pytest.raises(ValueError, match="holds no job"):
        open_job(tmp_path)
    (tmp_path / JOB).write_text("{}")
    with pytest.raises(ValueError, match="is damaged"):
        open_job(tmp_path)
    for settings in (Settings("magic"), Settings("classical", "hdr"), Settings("classical", first=-1)):
        with pytest.raises(ValueError, match="choose one of|number"):
            start_job(clip, tmp_path / "new", settings)


def test_a_clip_that_changed_is_refused(job, clip, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for file in clip.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    assert write_range(job, 0, 2, other) == 2
    (other / "a.0000.png").unlink()
    with pytest.raises(ValueError, match="another clip"):
        write_range(job, 2, 4, other)
    with pytest.raises(ValueError, match="the clip has 0 to 9"):
        write_range(job, 8, 11)


def test_the_last_job_goes_on_and_a_delivered_one_is_kept(clip, survey, tmp_path):
    first = next_job(clip, tmp_path, "take7", SETTINGS, survey=survey)
    assert first.folder.name == "take7_v001"
    write_range(first, 0, 6)
    assert next_job(clip, tmp_path, "take7", SETTINGS).folder == first.folder
    assert (
        next_job(clip, tmp_path, "take7", Settings("classical", "exr float"), survey=survey).folder.name == "take7_v002"
    )
    write_range(first, 6, 10)
    deliver(first)
    assert next_job(clip, tmp_path, "take7", SETTINGS, survey=survey).folder.name == "take7_v003"


def test_the_three_commands(clip, tmp_path, capsys, whole):
    folder = tmp_path / "out"
    assert main(["survey", str(clip), str(folder), "--method=classical", "--pattern=1x,8x"]) == 0
    assert main(["frames", str(folder), "0-3,4-99", "--device=cpu"]) == 0
    assert main(["frames", str(folder), "20-29"]) == 0
    assert main(["deliver", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "10 frames, 0 to 9, period 2" in out and "openjd_progress: 100.0" in out and "nothing to do" in out
    assert np.array_equal(pixels(open_job(folder)), whole)
    assert main(["frames", str(folder), "ten"]) == 1 and main(["deliver", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 2


def test_a_clip_is_read_and_written_as_the_options_say(clip, tmp_path):
    words = ["--pattern=1x,8x", "--response=linear", "--white=0.9", "--camera-gamut=S-Gamut3", "--gamut=ACEScg"]
    assert main(["survey", str(clip), str(tmp_path / "out"), "--method=classical", "--first=7", *words]) == 0
    job = open_job(tmp_path / "out")
    survey = job.survey
    assert survey.gamut == "S-Gamut3" and survey.white_level == pytest.approx((0.9,) * 3)
    assert "linear" in survey.curve.name and job.settings.gamut == "ACEScg" and job.path(0).name == "out.0007.exr"


def test_names_of_clips(tmp_path):
    (tmp_path / "take.v7").mkdir()
    names = {"a/take7.mov": "take7", "a/shot_####.exr": "shot", "a/%04d.png": "a", str(tmp_path / "take.v7"): "take.v7"}
    assert {source: name_of(source) for source in names} == names


def test_runs_of_frames():
    assert parse_frames("0-31, 40") == [(0, 32), (40, 41)] and listed([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    assert listed(list(range(0, 60, 2))).endswith("and 22 more runs")
    for wrong in ("", "a", "5-3", "-1", "1..3"):
        with pytest.raises(ValueError, match="write them as"):
            parse_frames(wrong)


def test_open_job_description_runs_the_template(clip, tmp_path, whole):
    """survey -> ranges of 4 frames -> delivery, by the reference program, as render farms run it."""
    pytest.importorskip("openjd.cli", reason="openjd-cli is not installed")
    command = [Path(sys.executable).with_name("openjd"), "run", TEMPLATE, "--step=Deliver", "--run-dependencies"]
    given = {"Clip": clip, "Folder": tmp_path / "out", "Frames": "0-9", "FramesPerTask": 4}
    given |= {"Method": "classical", "Pattern": "1x,8x", "Python": sys.executable}
    parameters = [f"-p={name}={value}" for name, value in given.items()]
    answer = subprocess.run([*command, *parameters], capture_output=True, text=True, timeout=900)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    job = open_job(tmp_path / "out")
    assert np.array_equal(pixels(job), whole) and not (job.folder / MARK).exists()
    parts = re.findall(r"frames (\d+) to (\d+): (\d+) written", answer.stdout)
    assert len(parts) == 3 and [int(n) for _, _, n in parts] == [int(b) + 1 - int(a) for a, b, _ in parts]
    assert json.loads((job.folder / JOB).read_text())["settings"]["method"] == "classical"
