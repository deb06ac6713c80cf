"""The evaluator of flow: figures of flows that are right, or wrong by a known amount."""

import json
import sys
from dataclasses import asdict

import pytest
import torch
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.sequence import FlowField
from hdrweave.models import registry
from hdrweave.models.flow.base_flow import MotionSearch, MotionSearchConfig
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.flow.pair_flow import working_size
from hdrweave.stages.runtime.networks import load_f2hdr
from hdrweave.stages.systems.f2hdr import fuse_and_refine
from hdrweave.training.evaluation import evaluate_flow
from hdrweave.training.evaluation.evaluate_flow import (
    REGIONS,
    by_region,
    exact_field,
    plain_dis,
    read_known,
    regions,
    score_clip,
    score_pair,
)
from hdrweave.training.synthesis.clip import SyntheticClip
from hdrweave.training.synthesis.clips import write_clip
from synthetic_pan import SIZE, evaluation, synthetic_pan

SMALL = MotionSearchConfig(radius=3, features=(8, 8, 8))


def pan(pattern=(1.0, 4.0), frames: int = 5, speed: float = 2.0) -> SyntheticClip:
    return synthetic_pan(pattern, frames, speed)


def field_of(clip, error=(0.0, 0.0), sure=1.0):
    """An estimator that gives the exact flow plus `error`."""

    def estimator(sequence):
        flow, shift = {}, torch.tensor(error)[:, None, None]
        for o in sequence.offsets:
            reached = [min(max(t + o, 0), len(sequence) - 1) for t in range(len(sequence))]
            flow[o] = torch.stack([clip.flow(t, n) + shift for t, n in enumerate(reached)])
        return FlowField(sequence.size, flow, {o: torch.full_like(f[:, :1], sure) for o, f in flow.items()})

    return estimator


def test_right_flow_has_no_error_and_a_wrong_one_the_error_that_it_has():
    clip = evaluation(pan())
    right, wrong = (
        by_region(score_clip(clip, field_of(clip, error)(clip.sequence()))) for error in ((0, 0), (3.0, -4.0))
    )
    assert right["all"]["epe"] == pytest.approx(0, abs=1e-4) and right["all"]["warping_psnr"] > 60
    for region in REGIONS:
        for figure in ("epe", "epe_25", "epe_50"):
            assert wrong[region][figure] == pytest.approx(5, abs=1e-3)
    assert wrong["all"]["warping_psnr"] < right["all"]["warping_psnr"] - 20
    assert "warping_psnr" not in right["occluded"]


def test_brier_tells_confidence_in_what_is_wrong():
    clip = evaluation(pan())
    blind, doubting = (
        by_region(score_clip(clip, field_of(clip, (3.0, 0), sure)(clip.sequence())))["all"] for sure in (1.0, 0.0)
    )
    assert blind["brier"] > 0.9 and doubting["brier"] == 0
    sound = by_region(score_clip(clip, field_of(clip)(clip.sequence())))["all"]
    assert sound["brier"] < 1e-3  # what leaves the frame counts as distrusted


def test_percentiles_and_psnr_are_those_of_the_pixels():
    clip = evaluation(pan())
    exact = clip.flow(1, 2)
    flow = exact.clone()
    flow[0, :, :16] += 8  # a quarter of the frame
    figures = score_pair(clip, 1, 2, flow, torch.ones(1, *SIZE))["all"]
    assert figures["epe"] == pytest.approx(2, abs=1e-4) and figures["epe_50"] == pytest.approx(0, abs=1e-4)
    still = score_pair(clip, 1, 2, torch.zeros_like(exact), torch.ones(1, *SIZE))["all"]
    seen = ~clip.occluded(1, 2)
    assert still["warping_psnr"] == pytest.approx(psnr_mu(clip.hdr[2][seen], clip.hdr[1][seen]))


def test_regions_are_what_they_say():
    clip = pan(speed=4.0)
    clip.hdr[:, :, :32] = 0.5  # flat, to the left
    clip.ldr[2, 8:24, 20:40] = 1.0
    found = regions(evaluation(clip), 1, 2, evaluation(clip).flow(1, 2))
    assert found["all"].all()
    assert found["occluded"][:, :4].all() and not found["occluded"][:, 4:].any()
    assert not found["textured"][:, :28].any() and found["textured"][:, 40:].float().mean() > 0.5
    expected = torch.zeros(SIZE, dtype=torch.bool)
    expected[8:24, 24:44] = True  # the neighbour's, where the flow leads to it
    own = clip.ldr[1].amax(-1) >= 0.98
    others = clip.ldr[2].amax(-1) >= 0.98
    expected = (expected | own | others.roll(4, 1)) & ~found["occluded"]
    assert torch.equal(found["clipped"], expected)


def test_plain_dis_is_the_estimate_without_what_this_pack_adds(monkeypatch):
    sequence = evaluation(pan()).sequence()
    plain, estimated = plain_dis(sequence), estimate_flow(sequence)
    monkeypatch.setattr("hdrweave.stages.flow.estimate.enclosed", lambda *pair: False)
    for stage in ("propagate", "extrapolate_occlusion"):
        monkeypatch.setattr(f"hdrweave.stages.flow.estimate.{stage}", lambda pairs, t, others, motion: motion)
    monkeypatch.setattr("hdrweave.stages.flow.pair_flow.fine_size", working_size)
    direct = estimate_flow(sequence)
    for offset in sequence.offsets:
        assert torch.equal(plain.flow[offset], direct.flow[offset])
        assert not torch.equal(plain.flow[offset], estimated.flow[offset])


@pytest.fixture
def folder(tmp_path):
    write_clip(tmp_path / "clips" / "two" / "a", pan())
    write_clip(tmp_path / "clips" / "three" / "a", pan((1.0, 2.0, 4.0)))
    return tmp_path / "clips"


def command(monkeypatch, *words) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate_flow", *map(str, words), "--threads", "1"])
    evaluate_flow.main()


def test_command_writes_figures(folder, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    about = dict(data="none", licence="CC0", command="none", figures={})
    registry.register("small", MotionSearch(SMALL), "base_flow", asdict(SMALL), tmp_path, **about)
    out = tmp_path / "new" / "flow.json"
    command(monkeypatch, "--clips", folder, "--weights", tmp_path / "small.safetensors", "--json", out)
    printed = capsys.readouterr().out
    methods = json.loads(out.read_text())["methods"]
    assert list(methods) == ["plain", "dis", "network"]
    assert set(methods["dis"]) == {"mean", "two", "three", "64x48"}
    assert f"{methods['dis']['two']['all']['epe']:.2f}" in printed
    untrained, start = (methods[name]["mean"]["textured"] for name in ("network", "dis"))
    assert untrained["epe"] == pytest.approx(start["epe"], abs=0.01)  # not trained: the flow that it starts from
    assert start["epe"] < 0.5
    pairs = {split: methods["dis"][split]["all"]["epe"] for split in ("two", "three")}
    mean = (3 * 2 * pairs["two"] + 1 * 4 * pairs["three"]) / 10
    assert methods["dis"]["mean"]["all"]["epe"] == pytest.approx(mean)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--methods", "dis,raft"], "method 'raft' is unknown"),
        (["--methods", "network", "--weights", "none"], "no weights called 'none'"),
        (["--methods", "dis", "--splits", "four"], "has no four"),
    ],
)
def test_wrong_use_is_named(folder, monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit):
        command(monkeypatch, "--clips", folder, *words)
    assert message in " ".join(capsys.readouterr().err.split())


def test_clips_without_exact_flow_are_refused(folder):
    (folder / "two" / "a" / "flow.npz").unlink()
    with pytest.raises(ValueError, match="synthetic clips only"):
        read_known(folder / "two" / "a")


def test_pictures_are_those_along_each_flow_and_the_exact_one(folder, tmp_path, monkeypatch, capsys):
    command(monkeypatch, "--clips", folder, "--methods", "dis", "--picture", "--json", tmp_path / "flow.json")
    pictures = json.loads((tmp_path / "flow.json").read_text())["pictures"]
    assert list(pictures) == ["dis", "exact"] and set(pictures["dis"]) == {"mean", "two", "three", "64x48"}
    assert "exact" in capsys.readouterr().out
    clip = read_known(folder / "two" / "a")
    sequence = clip.sequence()
    exact = exact_field(clip)
    assert by_region(score_clip(clip, exact))["all"]["epe"] < 1e-4
    hdr = fuse_and_refine(sequence, exact, load_f2hdr())
    expected = {t: psnr_mu(hdr[t], clip.hdr[t]) for t in (1, 2, 3)}
    found = pictures["exact"]["two"]
    assert found["all"] == pytest.approx(sum(expected.values()) / 3, abs=0.2)
    assert found["longest"] == pytest.approx((expected[1] + expected[3]) / 2, abs=0.2)
