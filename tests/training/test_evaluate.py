"""The evaluator: its figures against direct computation, and its command on a folder of clips."""

import json
import math
import re
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hdrweave.hdr.cv import cv2
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.metrics import SequenceMetrics, psnr_mu
from hdrweave.stages.reconstruct import reconstruct
from hdrweave.stages.runtime.threads import in_threads
from hdrweave.stages.systems.system import System
from hdrweave.stages.systems.table import SYSTEMS
from hdrweave.training.evaluation import evaluate, methods
from hdrweave.training.evaluation.methods import Method
from hdrweave.training.evaluation.report import format_table, worst_crop
from hdrweave.training.evaluation.scoring import ClipFigures, inner_frames, score_frames, summary, texture_kept
from hdrweave.training.synthesis.clip import SyntheticClip
from hdrweave.training.synthesis.clips import read_clip, write_clip
from hdrweave.training.synthesis.make_validation import make_validation
from synthetic_pan import SIZE, evaluation, synthetic_pan


def synthetic(pattern=(1.0, 4.0), frames: int = 7, speed: float = 2.0) -> SyntheticClip:
    return synthetic_pan(pattern, frames, speed, stops=2)


@pytest.fixture
def folder(tmp_path):
    clips = tmp_path / "clips"
    write_clip(clips / "two" / "a", synthetic())
    write_clip(clips / "two" / "b", synthetic(speed=3))
    write_clip(clips / "three" / "a", synthetic((1.0, 2.0, 4.0), 9))
    return clips


def command(monkeypatch, *words) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, words), "--threads", "1"])
    evaluate.main()


def test_figures_are_those_of_the_metrics():
    clip = evaluation(synthetic())
    sequence = clip.sequence()
    hdr = clip.hdr * 1.1 + 0.01 * clip.hdr.roll(1, 1)
    figures = summary([ClipFigures(clip.name, 2, score_frames(clip, hdr))], only_inner=False)
    oracle = SequenceMetrics(2)
    for t in range(7):
        flow = clip.flow(t, t - 1) if t else None
        seen = (~clip.occluded(t, t - 1)).float()[None] if t else None
        oracle.update(hdr[t], clip.hdr[t], sequence.exposures[t], flow, seen)
    expected, by_exposure = oracle.compute(), oracle.by_exposure()
    for name in ("psnr_mu", "psnr_linear", "ssim_uniform7_mu", "ssim_gauss11_linear"):
        assert figures["raw"][name] == pytest.approx(expected[name], rel=1e-9)
        assert figures["by_rank"]["low"]["raw"][name] == pytest.approx(by_exposure[1.0][name], rel=1e-9)
        assert figures["by_rank"]["high"]["raw"][name] == pytest.approx(by_exposure[4.0][name], rel=1e-9)
    for name in ("psnr_mu_std", "t_psnr_fr", "t_psnr_nr", "flicker", "warping_error"):
        assert figures["temporal"][name] == pytest.approx(expected[name], rel=1e-6), name


def test_headline_figures_leave_out_frames_without_true_neighbours():
    assert list(inner_frames(7, 2)) == [1, 2, 3, 4, 5] and list(inner_frames(9, 3)) == [2, 3, 4, 5, 6]
    clip = evaluation(synthetic((1.0, 2.0, 4.0), 9))
    hdr = clip.hdr * 1.05
    hdr[[0, 1, 7, 8]] *= 3
    scored = [ClipFigures(clip.name, 3, score_frames(clip, hdr))]
    inner, whole = summary(scored, True), summary(scored, False)
    assert inner["frames"] == 5 and whole["frames"] == 9
    expected = np.mean([psnr_mu(hdr[t], clip.hdr[t]) for t in range(2, 7)])
    assert inner["raw"]["psnr_mu"] == pytest.approx(expected) and whole["raw"]["psnr_mu"] < expected - 5
    assert list(inner["by_rank"]) == ["low", "mid", "high"]
    assert inner["temporal"]["t_psnr_fr"] > whole["temporal"]["t_psnr_fr"] + 5  # nor steps from or to those frames


def test_composite_takes_the_captured_frame_where_it_is_well_exposed():
    clip = evaluation(synthetic())
    figures = summary([ClipFigures(clip.name, 2, score_frames(clip, torch.zeros_like(clip.hdr)))], True)
    for rank in ("low", "high"):
        assert figures["by_rank"][rank]["composite"]["psnr_mu"] > figures["by_rank"][rank]["raw"]["psnr_mu"] + 3


def test_the_true_motion_leaves_no_warping_error_in_the_truth():
    clip = evaluation(synthetic())
    right = score_frames(clip, clip.hdr)[3].step["warping_error"]
    wrong = score_frames(replace(clip, placements=clip.placements.flip(0)), clip.hdr)[3].step["warping_error"]
    assert right < 1e-9 < 1e-4 < wrong


def test_clips_without_truth_get_no_reference_figures():
    clip = replace(evaluation(synthetic()), hdr=None, labels=None, placements=None)
    frames = score_frames(clip, torch.rand(7, *SIZE, 3))
    assert not frames[3].raw and set(frames[3].step) == {"t_psnr_nr"}
    figures = summary([ClipFigures(clip.name, 2, frames)], True)
    assert not figures["raw"] and math.isnan(figures["temporal"]["psnr_mu_std"])
    assert figures["temporal"]["flicker"] > 0


def test_worst_crop_is_where_the_best_method_errs():
    clip = evaluation(synthetic())
    clip = replace(clip, **{k: getattr(clip, k).repeat(1, 3, 3, 1) for k in ("ldr", "hdr")})
    good, bad = clip.hdr.clone(), clip.hdr * 2
    good[3, 100:130, 120:150] = 1
    good[0] = 0  # no inner frame
    crop = worst_crop(clip, {"bad": bad, "good": good}, inner_frames(7, 2))
    assert "frame 3" in crop.place and crop.place.endswith("worst of good")
    assert [title for title, _, _ in crop.tiles] == ["captured", "bad", "good", "truth"]
    tile, truth = crop.tiles[2][2], crop.tiles[3][2]
    assert ((tile - truth).abs().amax(-1) > 0).sum() == 30 * 30  # all of the damage is in the crop


def test_command_writes_figures_frames_and_picture(folder, tmp_path, monkeypatch, capsys):
    figures, worst, frames = (tmp_path / name for name in ("figures.json", "worst.png", "frames"))
    chosen = ("reference", "unaligned", "debevec", "debevec+mtb", "classical", "f2hdr")
    told = ("--clips", folder, "--json", figures, "--sheet", worst, "--save", frames, "--methods", ",".join(chosen))
    command(monkeypatch, *told)
    printed = capsys.readouterr().out
    assert "inner frames" in printed and "two: 2 clips (2 of 64x48), 10 inner frames" in printed
    report = json.loads(figures.read_text())
    assert list(report["methods"]) == list(chosen) and report["threads"] == 1
    classical = report["methods"]["classical"]
    clip = read_clip(folder / "three" / "a")
    hdr = reconstruct(clip.ldr, clip.exposures)
    for t in range(9):
        frame = np.load(frames / "classical" / "three" / "a" / f"frame_{t:05d}.npy")
        assert frame.dtype == np.float32 and np.array_equal(frame, hdr[t].numpy())
    expected = np.mean([psnr_mu(hdr[t], clip.hdr[t]) for t in range(2, 7)])
    assert classical["splits"]["three"]["inner"]["raw"]["psnr_mu"] == pytest.approx(expected)
    assert f"{expected:.2f}" in printed
    means = {name: method["mean"]["inner"]["raw"]["psnr_mu"] for name, method in report["methods"].items()}
    assert min(means["f2hdr"], means["classical"]) > max(means[name] for name in chosen[:4])
    picture = read_image(worst)[0]
    assert picture.shape[1] == (2 + len(report["methods"])) * 196 + 4 and picture.std() > 20


def test_a_quick_evaluation_takes_the_middle_of_the_first_frames(folder, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "PART", (32, 40))
    whole, part = (read(folder / "three" / "a") for read in (read_clip, evaluate.read_part))
    assert part.period == 3 and torch.equal(part.exposures, whole.exposures[:7])
    assert torch.equal(part.ldr, whole.ldr[:7, 8:40, 12:52]) and torch.equal(part.hdr, whole.hdr[:7, 8:40, 12:52])
    command(monkeypatch, "--clips", folder, "--quick", "--splits", "three", "--limit", 1, "--methods", "reference")
    assert "three: 1 clips (1 of 40x32), 3 inner frames" in capsys.readouterr().out


def test_command_evaluates_clips_without_truth(folder, tmp_path, monkeypatch, capsys):
    for name in ("gt.npy", "flow.npz"):
        (folder / "two" / "a" / name).unlink()
    chosen = ("--splits", "two", "--limit", 1, "--methods", "reference")
    command(monkeypatch, "--clips", folder, *chosen, "--json", tmp_path / "f.json", "--sheet", tmp_path / "f.png")
    assert "flicker" in capsys.readouterr().out
    report = json.loads((tmp_path / "f.json").read_text())
    inner = report["methods"]["reference"]["splits"]["two"]["inner"]
    assert inner["raw"] == {} and inner["temporal"]["psnr_mu_std"] is None and inner["temporal"]["flicker"] > 0
    assert not (tmp_path / "f.png").exists()


def test_networks_are_counted(folder, monkeypatch, capsys):
    network = torch.nn.Conv2d(3, 3, 3, padding=1)

    def run(sequence):
        with torch.no_grad():
            return network(sequence.frames[range(len(sequence))].movedim(-1, 1)).movedim(1, -1)

    method = Method(run, lambda: [network])
    paths = [folder / "two" / "missing", folder / "two" / "a"]  # on the first clip that can be evaluated
    report, _ = evaluate.evaluate({"two": paths}, {"net": method})
    net = report["methods"]["net"]
    assert net["parameters"] == 84
    assert net["splits"]["two"]["gflop_per_megapixel"] == pytest.approx(
        2 * 27 * 3 / 1e3
    )  # 3 outputs of 27 multiply-adds a pixel
    assert net["splits"]["two"]["seconds_per_frame"] > 0


def test_what_several_threads_compute_is_counted_too(folder):
    network = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)

    def run(sequence):
        frames = in_threads(
            lambda t: network(sequence.frames[[t]].movedim(-1, 1)).movedim(1, -1)[0], range(len(sequence)), "cpu"
        )
        return torch.stack(list(frames))

    torch.set_num_threads(2)  # `alone` gives one back
    figures = evaluate.run(Method(run, lambda: [network]), "net", read_clip(folder / "two" / "a"), count=True)[1]
    assert figures.gflop == pytest.approx(2 * 27 * 3 * figures.megapixels / 1e3) and torch.get_num_threads() == 2


def test_a_method_that_fails_is_named(folder):
    broken = Method(lambda sequence: torch.full((7, *SIZE, 3), math.nan))
    with pytest.raises(ValueError, match="broken gives .* for two/a"):
        evaluate.evaluate({"two": [folder / "two" / "a"]}, {"broken": broken})


def test_clips_that_fail_are_left_out_and_the_others_evaluated(folder, tmp_path, monkeypatch, capsys):
    """One of one exposure, the first of its split; and one without exposures, alone in its split."""
    write_clip(folder / "two" / "0", synthetic((1.0,)))
    write_clip(folder / "bare" / "a", synthetic())
    (folder / "bare" / "a" / "exposures.txt").write_text("")
    words = ("--clips", folder, "--methods", "reference,classical", "--json", tmp_path / "f.json")
    with pytest.raises(SystemExit) as stopped:
        command(monkeypatch, *words, "--sheet", tmp_path / "f.png")
    assert stopped.value.code == 1
    report = json.loads((tmp_path / "f.json").read_text())
    assert {name: split["clips"] for name, split in report["splits"].items()} == {"three": 1, "two": 2}
    assert list(report["failed"]) == ["bare/a", "two/0"] and "7 .png frames and 0" in report["failed"]["bare/a"]
    for method in report["methods"].values():
        assert set(method["clips"]) == {"three/a", "two/a", "two/b"}
        assert method["splits"]["two"]["inner"]["raw"]["psnr_mu"] > 10
    told = capsys.readouterr()
    assert "two: 2 clips" in told.out
    assert told.out.count("the clip has one exposure only") == 2  # as it fails, and at the end
    assert "2 clips are not evaluated" in told.err and (tmp_path / "f.png").exists()


def test_nothing_to_evaluate_is_an_error(folder, monkeypatch, capsys):
    write_clip(folder / "one" / "a", synthetic((1.0,)))
    with pytest.raises(SystemExit) as stopped:
        command(monkeypatch, "--clips", folder, "--splits", "one", "--methods", "classical")
    assert stopped.value.code == 2 and "one exposure only" in capsys.readouterr().err


def test_the_device_that_is_asked_for_is_used_told_and_waited_for(folder, tmp_path, monkeypatch):
    seen = []

    def classical(sequence, device):
        seen.append(device)
        return sequence.radiance(range(len(sequence)))

    monkeypatch.setitem(SYSTEMS, "classical", System("classical", "a recorder", (), classical))
    words = ("--clips", folder, "--splits", "two", "--methods", "reference,classical", "--json", tmp_path / "f.json")
    for given, device in (((), "cpu"), (("--device", "meta"), "meta")):
        command(monkeypatch, *words, *given)
        assert json.loads((tmp_path / "f.json").read_text())["device"] == device
    assert seen == ["cpu"] * 2 + ["meta"] * 2
    monkeypatch.setattr(torch.cuda, "synchronize", seen.append)
    monkeypatch.setattr(evaluate, "perf_counter", lambda: len(seen))
    clip = read_clip(folder / "two" / "a")
    _, figures = evaluate.run(methods.methods_on("cuda:1")["classical"], "classical", clip, False, "cuda:1")
    assert seen[4:] == ["cuda:1"] * 3 and figures.seconds == 2  # the second of them is the method's own


@pytest.mark.parametrize(
    "words, message",
    [
        (["--methods", "classical,magic"], "method 'magic' is unknown"),
        (["--splits", "four"], "has no four.*two"),
        (["--sheet", "crops.exr"], "ends in .png"),
        (["--device", "nowhere"], "'nowhere' cannot be used here"),
        (["--clips", "nowhere"], "nowhere has no clips"),
    ],
)
def test_bad_arguments_get_one_sentence(folder, monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit):
        command(monkeypatch, "--clips", folder, *words)
    assert re.search(message, capsys.readouterr().err.replace("\n", " "))


def test_validation_set_is_made_once_and_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "VALIDATION", tmp_path / "data" / "validation")
    with pytest.raises(OSError, match="evaluate --scenes FOLDER`, with .exr"):
        evaluate.validation_set(None)

    def interrupted(scenes, out):
        write_clip(out / "two" / "a", synthetic())
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "make_validation", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate.validation_set("scenes")
    assert not evaluate.VALIDATION.exists()
    monkeypatch.setattr(evaluate, "make_validation", lambda scenes, out: write_clip(out / "two" / "a", synthetic()))
    assert (evaluate.validation_set("scenes") / "two" / "a" / "exposures.txt").exists()
    monkeypatch.setattr(evaluate, "make_validation", interrupted)
    assert evaluate.validation_set(None) == evaluate.VALIDATION


def test_a_validation_set_of_other_panoramas_is_refused(tmp_path, monkeypatch, capsys):
    """The names of those that it was made of are kept, and stand in the report."""
    monkeypatch.setattr(evaluate, "VALIDATION", tmp_path / "data" / "validation")
    small = partial(make_validation, count=1, size=(64, 48), presets=("clean",))
    monkeypatch.setattr(evaluate, "make_validation", small)
    for folder, name in (("first", "lobby"), ("other", "street")):
        (tmp_path / folder).mkdir()
        cv2().imwrite(str(tmp_path / folder / f"{name}.hdr"), np.full((32, 64, 3), 0.5, np.float32))
    words = ("--methods", "reference", "--json", tmp_path / "f.json", "--scenes")
    for _ in range(2):  # made, and used again
        command(monkeypatch, *words, tmp_path / "first")
        assert json.loads((tmp_path / "f.json").read_text())["scenes"] == ["lobby.hdr"]
    for made_of in ("lobby.hdr", "panoramas that it does not name"):
        with pytest.raises(SystemExit):
            command(monkeypatch, *words, tmp_path / "other")
        told = " ".join(capsys.readouterr().err.split())
        assert f"was made once, of {made_of}: leave --scenes out" in told and "--clips DIR" in told
        (evaluate.VALIDATION / "scenes.json").unlink(missing_ok=True)  # as earlier versions made it


def test_table_columns_line_up():
    lines = format_table([["method", "dB"], ["a", "1.00"], ["longer name", "12.00"]]).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_texture_kept_is_the_energy_of_the_finest_detail_where_the_frame_is_well_exposed():
    truth = 0.3 + 0.1 * torch.rand(32, 48, 3, generator=torch.Generator().manual_seed(0))
    code = truth.pow(1 / 2.2)
    assert texture_kept(truth, truth, code) == pytest.approx(1)
    assert texture_kept(truth.mean((0, 1)).expand_as(truth), truth, code) == pytest.approx(0, abs=1e-6)
    code[:, 24:] = 1.0
    lost = torch.cat((truth[:, :24], torch.full_like(truth[:, 24:], 0.35)), 1)
    assert texture_kept(lost, truth, code) == pytest.approx(1, abs=0.05)
    assert math.isnan(texture_kept(truth, truth, torch.ones_like(truth)))
