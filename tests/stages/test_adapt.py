"""Adapt to Footage: what is learned from, that it helps and never harms, that nothing else changes, and saving."""

import math
import os
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import untrained
from hdrweave.hdr.sequence import FlowField, LazyFrames
from hdrweave.models import registry
from hdrweave.models.dealthdr.dealthdr import DeAltHDR, DeAltHDRConfig
from hdrweave.models.dealthdr.fgma import AlignerConfig, FlowGuidedAligner
from hdrweave.models.f2hdr.f2hdr import F2HDR
from hdrweave.models.lrhdr.accr import ACCR
from hdrweave.models.lrhdr.sparse_fusion import SparseFusion, SparseFusionConfig
from hdrweave.stages.adapt import adapt as stage
from hdrweave.stages.adapt.adapt import Adapted, AdaptSettings, adapt, save_adapted
from hdrweave.stages.adapt.adaptable import WithSparseFusion, load_adaptable, reconstruct_with
from hdrweave.stages.adapt.footage import Footage
from hdrweave.stages.adapt.view import before_and_after
from hdrweave.stages.flow.estimate import estimate_flow
from moving_texture import CYCLES, alternating_clip, captured, radiance, sequence
from nonzero import nonzero
from small_shards import one_thread

FEW = AdaptSettings(seconds=math.inf, steps=24, rate=1e-4, crop=32)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


def alternating(period: int = 2, count: int = 8, size=(40, 56)):
    return alternating_clip(CYCLES[period], count, size, speed=2.0, noise=0.02)


def shaken(network, size: float = 0.05):
    """Weights in every layer, so that neighbours matter and there is something to learn."""
    return nonzero(network, size, seed=0).eval().requires_grad_(False)


def dealthdr(size: float = 0.05) -> DeAltHDR:
    torch.manual_seed(0)
    return shaken(DeAltHDR(DeAltHDRConfig(4, windows=(4, 4, 4))), size)


def fusion() -> SparseFusion:
    torch.manual_seed(0)
    return shaken(SparseFusion(SparseFusionConfig(8)))


def state(network) -> dict[str, torch.Tensor]:
    return deepcopy(network.state_dict())


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


# --- footage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [2, 3])
def test_subsets_hold_the_frame_and_two_other_exposures_from_near(period):
    clip = alternating(period, 20)
    footage, seen = Footage(clip, estimate_flow(clip), CPU, 6, 32, 0), set()
    for _ in range(60):
        for t in (0, 9, 19):
            one, middle, other = footage.subset(t)
            assert middle == t and t not in (one, other) and 0 <= min(one, other) and max(one, other) < 20
            assert clip.exposures[one] != clip.exposures[other] and max(abs(one - t), abs(other - t)) <= 6
            seen |= {n - t for n in (one, other)}
    assert min(seen) == -6 and max(seen) == 6


def test_subsets_reach_far_enough_for_two_exposures():
    exposures = [(4.0, 4, 4, 1, 4, 4, 4)[t % 7] for t in range(14)]
    clip = sequence(captured(radiance(14, (16, 24), 1.0), exposures), exposures, period=7)
    still = torch.zeros(14, 2, 16, 24)
    footage = Footage(clip, FlowField((16, 24), {1: still}, {1: still}), CPU, 6, 32, 0)
    for t in range(14):
        one, _, other = footage.subset(t)
        assert clip.exposures[one] != clip.exposures[other]


@pytest.mark.parametrize("count, held", [(4, 1), (13, 2), (40, 4)])
def test_some_frames_are_held_out(count, held):
    still = torch.zeros(count, 2, 16, 24)
    footage = Footage(alternating(2, count, (16, 24)), FlowField((16, 24), {1: still}, {1: still}), CPU, 6, 32, 0)
    assert len(footage.held_out) == held and sorted(footage.held_out + footage.learned) == list(range(count))


def test_windows_are_pieces_of_the_clip_with_their_flow():
    clip = alternating(2, 8)
    flow = estimate_flow(clip)
    footage = Footage(clip, flow, CPU, 6, 24, 0)
    boxes = [footage.boxes(2) for _ in range(3)]
    windows = footage.windows([1, 4, 5], boxes)
    assert len(windows) == 3
    for window, pieces in zip(windows, boxes, strict=True):
        assert window.frames.shape == (2, 3, 3, 24, 24) and window.exposures.tolist() == [[8, 1, 8]] * 2
        for b, (rows, columns) in enumerate(pieces):
            assert torch.equal(window.frames[b, 1].movedim(0, -1), clip.frames[4, rows, columns])
            forth, back = flow.read(1, [4])[0][0], flow.read(-1, [5])[0][0]
            assert torch.equal(window.flows[b, 1], forth[:, rows, columns])
            assert torch.equal(window.back[b, 1], back[:, rows, columns])
            assert window.flows[b, 0, 0].median() == pytest.approx(6, abs=2)  # three frames of a pan by 2 pixels


# --- adaptation ------------------------------------------------------------------------------------------------------


def test_it_learns_and_leaves_the_start_alone(monkeypatch):
    monkeypatch.setattr(stage, "EVERY", 6)
    clip, start = alternating(2), dealthdr(0.2)
    before, told = state(start), []
    adapted, report = adapt(
        clip, estimate_flow(clip), start, replace(FEW, steps=12, rate=4e-4), progress=lambda *p: told.append(p)
    )
    assert same(before, start.state_dict()) and not same(before, adapted.state_dict())
    assert report.after < 0.98 * report.before and report.losses[0] == (0, report.before)
    assert report.steps == 12 and report.best in (6, 12) and 0 < report.drift < 0.1
    assert report.pictures.shape == (2, 32, 32, 3) and (report.pictures[0] != report.pictures[1]).any()
    assert told[-1] == (100, 100) and told == sorted(told) and "held-out loss" in str(report)
    assert not any(p.requires_grad for p in adapted.parameters()) and not adapted.training


@pytest.mark.parametrize("network, period", [(dealthdr, 3), (fusion, 2), (fusion, 3)])
def test_every_kind_of_network_takes_steps(network, period):
    clip, start = alternating(period), network()
    flow, settings = estimate_flow(clip), AdaptSettings(seconds=math.inf, steps=3, crop=32)
    footage = Footage(clip, flow, CPU, 6, 32, 0)
    adaptation = stage.Adaptation(footage, start, settings, reconstruct_with(start))
    (windows,) = adaptation.visit(3, 1, 1)
    adaptation.learn(*windows, 1e-4)
    silent = [n for n, p in adaptation.online.named_parameters() if p.grad is None]
    assert not [n for n in silent if "attention" not in n] and not same(state(start), adaptation.online.state_dict())
    report = adapt(clip, flow, start, settings).report
    assert report.steps == 3 and report.after <= report.before


class Miscounting(torch.nn.Module):
    """Too bright by `error` for every neighbour that it does not see."""

    def __init__(self):
        super().__init__()
        self.error = torch.nn.Parameter(torch.tensor(0.1))

    def forward(self, window):
        middle = window.frames[:, window.frames.shape[1] // 2]
        return 0.1 + 0.1 * middle + self.error * (4 - window.flows.shape[1])


def test_what_a_subset_gets_wrong_is_unlearned():
    """The label is what five frames say; five frames stay as they were."""
    clip = alternating()
    settings = AdaptSettings(seconds=math.inf, steps=60, rate=5e-3, crop=32)
    adapted, report = adapt(
        clip, estimate_flow(clip), Miscounting(), settings, reconstruct=lambda net, window: net(window)
    )
    assert abs(float(adapted.error.detach())) < 0.03 and report.after < 0.4 * report.before and report.drift < 1e-6


def test_it_is_never_worse_than_the_start():
    """At a rate that ruins the network, the start comes back."""
    clip, start = alternating(), dealthdr()
    settings = AdaptSettings(seconds=math.inf, steps=14, rate=3.0, crop=32)
    adapted, report = adapt(clip, estimate_flow(clip), start, settings)
    assert same(start.state_dict(), adapted.state_dict())
    assert report.best == 0 and report.after == report.before and report.drift == 0
    assert not any(loss < report.before for _, loss in report.losses) and "kept as it was" in str(report)


def test_it_ends_early_when_nothing_gets_better(monkeypatch):
    monkeypatch.setattr(stage, "EVERY", 2)
    monkeypatch.setattr(stage, "PATIENCE", 3)
    monkeypatch.setattr(stage.Adaptation, "held_out_loss", lambda self: 1.0)
    clip = alternating()
    assert adapt(clip, estimate_flow(clip), fusion(), FEW).report.steps == 6


def test_time_is_a_budget_too():
    clip = alternating()
    report = adapt(clip, estimate_flow(clip), fusion(), AdaptSettings(seconds=0.01, crop=32)).report
    assert report.steps == 0 or report.steps == 1
    assert report.after <= report.before


def test_the_same_seed_gives_the_same_network():
    clip = alternating()
    flow, settings = estimate_flow(clip), AdaptSettings(seconds=math.inf, steps=3, crop=32)
    one, two = (adapt(clip, flow, fusion(), settings) for _ in range(2))
    assert one.report.losses == two.report.losses and same(one.network.state_dict(), two.network.state_dict())


def test_it_works_under_inference_mode():
    """As a host that runs nodes does, with weights and frames that were made there."""
    with torch.inference_mode():
        clip, start = alternating(), dealthdr()
        given = clip.frames
        clip = clip.with_(frames=LazyFrames(given.shape, lambda indices: given[indices]))
        _, report = adapt(clip, estimate_flow(clip), start, AdaptSettings(seconds=math.inf, steps=2, crop=32))
    assert report.steps == 2


def test_interruption_leaves_nothing_changed(cancel):
    clip, start = alternating(), dealthdr()
    before = state(start)

    with pytest.raises(KeyboardInterrupt):
        adapt(clip, estimate_flow(clip), start, FEW, progress=cancel)
    assert same(before, start.state_dict())


def test_any_network_can_be_adapted_that_says_how():
    clip = alternating()
    network = torch.nn.Conv2d(3, 3, 1)

    def reconstruct(net, window):
        return net(window.frames.mean(1)).sigmoid() * window.flows.shape[1] / 4

    assert adapt(clip, estimate_flow(clip), network, FEW, reconstruct=reconstruct).report.steps == 24
    with pytest.raises(ValueError, match="a F2HDR cannot be adapted"):
        reconstruct_with(F2HDR())


def test_the_flagship_votes_on_what_its_other_networks_make():
    """Aligner, ACCR, F2HDR and DeAltHDR have a part in the candidates, and are not trained."""
    torch.manual_seed(0)
    aligner = shaken(FlowGuidedAligner(AlignerConfig(8, 4)))
    mapper, fused, whole = shaken(ACCR()), shaken(F2HDR()), shaken(dealthdr())
    clip = alternating(2, 8)
    footage = Footage(clip, estimate_flow(clip), CPU, 6, 32, 0)
    (window,) = footage.windows([3, 4, 5], [footage.boxes(2)])
    shapes = {}
    for name, parts in {
        "flow": {},
        "fgma": {"aligner": aligner},
        "with ACCR": {"aligner": aligner, "mapper": mapper},
        "with F2HDR": {"aligner": aligner, "fusion": fused},
        "all": {"aligner": aligner, "mapper": mapper, "fusion": fused, "whole": whole},
    }.items():
        reconstruct = WithSparseFusion(**parts)
        radiance_, validity, exposures = reconstruct.candidates(window)
        shapes[name] = radiance_.shape[1]
        assert validity.shape == (2, shapes[name], 1, 32, 32) and exposures.shape == (2, shapes[name])
        captured = 4 if "mapper" in parts else 3
        assert torch.equal(exposures[0, :1], window.exposures[0, 1:2])
        assert (exposures[0, :captured] > 0).all() and (exposures[0, captured:] == 0).all()
        network = fusion().requires_grad_(True)
        reconstruct(network, window).mean().backward()
        assert network.heads[0].weight.grad.abs().sum() > 0
    assert shapes == {"flow": 3, "fgma": 3, "with ACCR": 4, "with F2HDR": 4, "all": 6}
    assert all(p.grad is None for net in (aligner, mapper, fused, whole) for p in net.parameters())


def test_what_cannot_work_is_named():
    clip = alternating()
    flow = estimate_flow(clip)
    with pytest.raises(ValueError, match="the clip has 3 frames: give at least 4"):
        adapt(alternating(2, 3), flow, fusion())
    with pytest.raises(ValueError, match="the flow is of another clip"):
        adapt(alternating(2, 6), flow, fusion())
    with pytest.raises(ValueError, match="the budget is 0 s"):
        adapt(clip, flow, fusion(), AdaptSettings(seconds=0))


# --- saving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [dealthdr, fusion])
def test_what_is_saved_is_what_was_judged(tmp_path, network):
    pictures = torch.zeros(2, 4, 4, 3)
    report = stage.AdaptReport(0.2, 0.1, 0.01, 24, 12, 3.0, ((0, 0.2), (12, 0.1)), pictures)
    path = save_adapted(Adapted(network(), report), "my clip", tmp_path, "beach.mov")
    assert path == tmp_path / "my clip_v001.safetensors"
    loaded = registry.load("my clip_v001", [tmp_path])
    assert type(loaded) is type(network()) and same(network().state_dict(), loaded.state_dict())
    about = registry.read_metadata(path)
    assert about["figures"]["held_out_after"] == 0.1 and "beach.mov" in about["data"]


def test_nothing_is_replaced_and_nothing_learned_is_nothing_saved(tmp_path):
    def report(best):
        return stage.AdaptReport(0.2, 0.1, 0.01, 24, best, 3.0, ((0, 0.2),), torch.zeros(2, 4, 4, 3))

    assert save_adapted(Adapted(fusion(), report(0)), "mine", tmp_path) is None and not list(tmp_path.iterdir())
    (tmp_path / "mine_v002.safetensors").write_bytes(b"somebody's")
    (tmp_path / ".mine_v009.partial.safetensors").write_bytes(b"half a file")
    os.utime(tmp_path / ".mine_v009.partial.safetensors", (0, 0))
    names = [save_adapted(Adapted(fusion(), report(12)), "mine", tmp_path).name for _ in range(2)]
    assert names == ["mine_v001.safetensors", "mine_v003.safetensors"]
    assert (tmp_path / "mine_v002.safetensors").read_bytes() == b"somebody's"
    assert not list(tmp_path.glob(".*"))


def test_names_that_hide_or_escape_are_refused(tmp_path):
    adapted = Adapted(fusion(), stage.AdaptReport(1, 1, 0, 0, 0, 0, (), torch.zeros(2, 1, 1, 3)))
    for name in ("../out", "a/b", "", ".hidden", "f2hdr", "a\0b", "x" * 101, "\ud800", None):
        with pytest.raises(ValueError, match="cannot be used for weights"):
            save_adapted(adapted, name, tmp_path)
    assert not list(tmp_path.iterdir()) and math.isfinite(adapted.report.before)


def test_the_vote_is_adapted_among_the_flagships_networks(tmp_path, monkeypatch):
    untrained.write(tmp_path)
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    kinds = [SparseFusion, FlowGuidedAligner, ACCR, F2HDR, DeAltHDR]
    assert [type(n) for n in load_adaptable("sparse_fusion")] == kinds
    assert [type(n) for n in load_adaptable("dealthdr")] == [DeAltHDR]
    vote, *others = load_adaptable("sparse_fusion")
    how = reconstruct_with(vote, *others, s=3.0)
    assert (how.aligner, how.mapper, how.fusion, how.whole, how.s) == (*others, 3.0)


def test_before_and_after_lie_side_by_side():
    pictures = torch.stack((torch.full((40, 60, 3), 0.01), torch.full((40, 60, 3), 0.2)))
    found = before_and_after(stage.AdaptReport(1, 1, 0, 0, 0, 0, (), pictures))
    assert found.shape == (1, 40, 126, 3) and 0 <= found.min() and found.max() <= 1
    assert found[0, -1, 0, 0] < found[0, -1, -1, 0] == 1
    black = before_and_after(stage.AdaptReport(1, 1, 0, 0, 0, 0, (), 0 * pictures))
    assert black.isfinite().all() and black[0, -1, 0, 0] == 0
