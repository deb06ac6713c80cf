"""Flow-guided masked attention against its formulas and a slow reference, and the network that aligns by it."""

import math
from dataclasses import replace

import pytest
import torch
from hdrweave.hdr.exposure import match_exposure, to_ldr
from hdrweave.hdr.frame_window import FrameWindow
from hdrweave.hdr.tonemap import mu_law
from hdrweave.hdr.warp import warp
from hdrweave.models.blocks import in_float32
from hdrweave.models.dealthdr.fgma import AlignerConfig, FlowGuidedAligner, attended_cells, cell_distance
from hdrweave.models.dealthdr.masked_attention import FGMA, WindowGrid, consistency, sensitivity_for, trust_mask
from nonzero import nonzero
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

LIGHT = AlignerConfig(width=8, window=4)


def shifted(h, w, x, y, n=1):
    """A flow that is (x, y) everywhere."""
    return torch.tensor([float(x), float(y)])[None, :, None, None].expand(n, 2, h, w).contiguous()


def smooth(h, w, seed=0, n=1, planes=3):
    coarse = torch.rand(n, planes, h // 6 + 2, w // 6 + 2, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (h, w), mode="bicubic", align_corners=True).clamp(0, 1)


# --- D and M ---------------------------------------------------------------------------------------------------------


def test_whole_pixels_of_translation_are_consistent():
    distance = consistency(torch.rand(1, 3, 24, 32), shifted(24, 32, -3, 2), shifted(24, 32, 3, -2))
    assert distance.shape == (1, 1, 24, 32) and distance[..., 4:-4, 5:-5].max() < 1e-5


def test_distance_is_the_papers_formula():
    """The reference seen at the neighbour's time, and that seen from the reference's again; mean over channels."""
    picture = smooth(24, 32) * torch.tensor([1.0, 0.5, 0.1])[:, None, None]
    distance = consistency(picture, shifted(24, 32, -3, 0), shifted(24, 32, 7, 0))
    ahead = (torch.arange(32) + 7).clamp(max=31) - 3
    exact = (picture[..., ahead] - picture).abs().mean(1, keepdim=True)
    assert (distance - exact)[..., 4:-12].abs().mean() < 0.15 * exact[..., 4:-12].mean()
    assert 0.02 < distance.mean() and 0 <= distance.min() and distance.max() <= 1


@pytest.mark.parametrize("own, theirs", [(8.0, 1.0), (1.0, 8.0)], ids=["reference clips", "neighbour clips"])
def test_distance_is_silent_where_either_frame_clips(own, theirs):
    scene = 0.2 + smooth(48, 64)  # 1 is clipping of exposure 1: all of it clips at 8
    frame, exposures = to_ldr(scene, own), torch.tensor([[own, theirs]])
    wrong = shifted(48, 64, 9, 0), shifted(48, 64, 0, 5)
    assert cell_distance(frame, exposures, *wrong).max() < 1e-5
    visible = to_ldr(scene / 12, own)
    assert cell_distance(visible, exposures, *wrong).mean() > 0.02


def test_mask_is_the_papers_threshold():
    distance = torch.tensor([0.0, 1, 8, 9, 100, 255]) / 255
    assert trust_mask(distance, 15).tolist() == [0, 0, 0, 1, 1, 1]
    assert trust_mask(distance, 100).tolist() == [0, 0, 1, 1, 1, 1]
    assert trust_mask(distance, 1).tolist() == [0, 0, 0, 0, 0, 1]
    assert trust_mask(distance, 0).tolist() == [0] * 6
    assert trust_mask(distance, math.inf).tolist() == [1] * 6
    for bad in (-1, math.nan):
        with pytest.raises(ValueError, match="sensitivity s is .*: give 0"):
            trust_mask(distance, bad)


def test_active_share_does_not_fall_with_s():
    distance = torch.rand(1000) ** 4
    shares = [trust_mask(distance, s).mean().item() for s in (0, 0.3, 1, 5, 15, 60, 100, 1000, math.inf)]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1


@pytest.mark.parametrize("share", [0.0, 0.004, 0.1, 0.5, 0.999, 1.0])
def test_sensitivity_keeps_to_the_share_and_uses_it(share):
    distance = torch.rand(4, 1, 20, 30, generator=torch.Generator().manual_seed(1)) ** 2 + 0.001
    marked = trust_mask(distance, sensitivity_for(distance, share))
    assert share * distance.numel() - 2 < marked.sum() <= share * distance.numel()


def test_sensitivity_with_ties_and_perfect_flow():
    distance = torch.tensor([0.0] * 90 + [0.25] * 10)
    for share, expected in {0.05: 0, 0.1: 10, 0.5: 10}.items():
        assert trust_mask(distance, sensitivity_for(distance, share)).sum() == expected
    assert trust_mask(torch.zeros(50), sensitivity_for(torch.zeros(50), 0.3)).sum() == 0
    assert sensitivity_for(distance, 0) == 0 and sensitivity_for(distance, 1) == math.inf
    with pytest.raises(ValueError, match="share of attended pixels is 1.5"):
        sensitivity_for(distance, 1.5)


# --- FGMA ------------------------------------------------------------------------------------------------------------


def attention(width=6, window=4, seed=0):
    torch.manual_seed(seed)
    fgma = FGMA(width, window).requires_grad_(False)
    fgma.price.fill_(math.log(0.3))
    return fgma


def inputs(h=13, w=19, batch=2, width=6, seed=0):
    """Features of both frames, flow, mask."""
    g = torch.Generator().manual_seed(seed)
    features, neighbour = torch.randn(2, batch, width, h, w, generator=g)
    flow = 4 * torch.randn(batch, 2, h, w, generator=g)
    return features, neighbour, flow, (torch.rand(batch, 1, h, w, generator=g) < 0.06).float()


def slow(fgma, features, neighbour, flow, mask, carried, origin=(0, 0)):
    """F_att and what is carried, pixel by pixel."""
    h, w = features.shape[-2:]
    side = fgma.window
    values = torch.cat((fgma.value(neighbour), carried), 1)
    queries, keys = fgma.query(features * mask), fgma.key(neighbour)
    out = torch.zeros_like(values)
    for b, y, x in mask[:, 0].nonzero().tolist():
        top, left = ((c + o) // side * side - o for c, o in ((y, origin[0]), (x, origin[1])))
        rows, columns = (torch.arange(s, s + side).clamp(0, n - 1) for s, n in ((top, h), (left, w)))
        shift = flow[b][:, rows][:, :, columns].flatten(1).median(1).values.round().int().tolist()
        y0 = min(max(top + shift[1] - side, 0), max(h - 3 * side, 0))
        x0 = min(max(left + shift[0] - side, 0), max(w - 3 * side, 0))
        box = [(j, i) for j in range(y0, min(y0 + 3 * side, h)) for i in range(x0, min(x0 + 3 * side, w))]
        scores = torch.stack(
            [
                fgma.sharpness.exp() * F.cosine_similarity(queries[b, :, y, x], keys[b, :, j, i], 0)
                - fgma.price.exp() * math.hypot(j - y - shift[1], i - x - shift[0])
                for j, i in box
            ]
        )
        out[b, :, y, x] = scores.softmax(0) @ torch.stack([values[b, :, j, i] for j, i in box])
    return out


@pytest.mark.parametrize("h, w, origin", [(13, 19, (0, 0)), (16, 14, (5, 2)), (9, 7, (0, 0))])
def test_attention_is_the_formula(h, w, origin):
    features, neighbour, flow, mask = inputs(h, w)
    fgma, carried = attention(), torch.rand(2, 2, h, w)
    out = fgma(features, neighbour, flow, mask, carried, origin)
    assert out.shape == (2, 2 * 6 + 1 + 2, h, w) and mask.sum() > 3
    torch.testing.assert_close(out[:, :6], warp(neighbour, flow))
    assert torch.equal(out[:, 6:7], mask)
    expected = slow(fgma, features, neighbour, flow, mask, carried, tuple(o % 4 for o in origin))
    torch.testing.assert_close(out[:, 7:], expected, atol=1e-5, rtol=1e-4)


def test_gathering_active_windows_is_computing_all_of_them():
    features, neighbour, flow, mask = inputs(40, 52)
    fgma = attention()
    some = fgma(features, neighbour, flow, mask)
    everywhere = fgma(features, neighbour, flow, torch.ones_like(mask))
    torch.testing.assert_close(some[:, 7:], everywhere[:, 7:] * mask, atol=1e-6, rtol=1e-5)
    assert (some[:, 7:][(mask == 0).expand(-1, 6, -1, -1)] == 0).all() and some[:, 7:].abs().sum() > 1


def test_no_mask_no_attention():
    features, neighbour, flow, mask = inputs()
    fgma = attention()
    fgma.attend_windows = fgma.query.forward = fgma.key.forward = fgma.value.forward = None  # calling one would fail
    out = fgma(features, neighbour, flow, torch.zeros_like(mask))
    torch.testing.assert_close(out[:, :6], warp(neighbour, flow))
    assert (out[:, 6:] == 0).all()


def test_cost_follows_the_mask():
    features, neighbour, flow, mask = inputs(64, 64, 1)
    fgma, costs = attention(window=8), []
    for windows in (0, 1, 4, 16, 64):
        mask = torch.zeros(1, 1, 8, 8)
        mask.view(-1)[:windows] = 1
        with FlopCounterMode(display=False) as counter:
            fgma(features, neighbour, flow, mask.repeat_interleave(8, 2).repeat_interleave(8, 3))
        costs.append(counter.get_total_flops())
    assert costs[0] == 0
    one = (costs[2] - costs[1]) / 3
    assert one == 2 * 64 * (24**2 * (6 + 6) + 6 * 6)  # queries times keys, weights times values; queries
    assert costs[4] - costs[3] == 48 * one


def test_many_windows_are_worked_out_in_parts(monkeypatch):
    given = inputs(40, 52)
    whole = attention()(*given)
    monkeypatch.setattr("hdrweave.models.dealthdr.masked_attention.PAIRS", 7 * 4**2 * 12**2)
    torch.testing.assert_close(attention()(*given), whole)


def test_a_tile_is_a_part_of_the_map():
    features, neighbour, flow, mask = inputs(60, 72, 1)
    flow, fgma = flow.clamp(-4, 4), attention()
    whole = fgma(features, neighbour, flow, mask)
    tile = fgma(*(x[..., 6:, 10:] for x in (features, neighbour, flow, mask)), origin=(6, 10))
    torch.testing.assert_close(tile[..., 18:, 18:], whole[..., 24:, 28:], atol=1e-4, rtol=1e-4)


def test_attention_finds_what_flow_missed():
    """The neighbour is the reference moved by (5, -3), flow says (1, 1)."""
    fgma = FGMA(16, 8).requires_grad_(False)
    for layer in (fgma.query, fgma.key, fgma.value):
        layer.weight.copy_(torch.eye(16)[..., None, None])
        layer.bias.zero_()
    fgma.sharpness.fill_(math.log(60))
    features = torch.randn(1, 16, 48, 48)
    neighbour = features.roll((-3, 5), (2, 3))
    found = fgma(features, neighbour, shifted(48, 48, 1, 1), torch.ones(1, 1, 48, 48))[:, 17:]
    torch.testing.assert_close(found[..., 8:-8, 8:-8], features[..., 8:-8, 8:-8], atol=0.05, rtol=0)


def test_attention_keeps_single_precision():
    given = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        rough = attention()(*given, carried=torch.rand(2, 1, 13, 19))
    torch.testing.assert_close(rough[:, :13], attention()(*given), atol=1e-6, rtol=1e-5)


def test_windows_join_to_what_was_cut():
    x = torch.rand(2, 3, 13, 22)
    for origin in ((0, 0), (3, 9)):
        grid = WindowGrid((13, 22), 8, origin)
        assert torch.equal(grid.join(grid.cut(x)), x)


# --- the aligner -----------------------------------------------------------------------------------------------------


def pair(h=48, w=64, batch=1, seed=0, e=(8.0, 1.0), masked=0.2):
    """A window of one neighbour of a random scene, and where to attend."""
    g = torch.Generator().manual_seed(seed)
    reference, neighbour = torch.rand(2, batch, 3, h, w, generator=g)
    exposures = torch.tensor([e[::-1]]).expand(batch, 2)
    flow, confidence = 4 * torch.randn(batch, 1, 2, h, w, generator=g), torch.rand(batch, 1, 1, h, w, generator=g)
    cells = (torch.rand(batch, 1, 1, -(-h // 4), -(-w // 4), generator=g) < masked).float()
    return FrameWindow(torch.stack((neighbour, reference), 1), exposures, flow, confidence, -flow), cells


def pair_of(reference, neighbour, exposures, flow):
    """A window of one neighbour (B,3,H,W), exposures of (reference, neighbour), flow (B,2,H,W); believed."""
    frames, taken = torch.stack((neighbour, reference), 1), torch.tensor([exposures[::-1]])
    return FrameWindow(frames, taken, flow[:, None], torch.ones_like(flow[:, None, :1]))


@pytest.mark.parametrize("masked", [0, 0.5, 1])
def test_it_starts_as_the_bicubic_warp(masked):
    window, cells = pair(33, 47, masked=masked)
    out = FlowGuidedAligner(LIGHT)(window, cells)
    warped = warp(window.neighbours[:, 0], window.flows[:, 0], mode="bicubic").clamp(0, 1)
    torch.testing.assert_close(out["aligned"][:, 0], warped)
    sure, inner = out["logit"].sigmoid(), (..., slice(16, -16), slice(16, -16))
    torch.testing.assert_close(sure[inner], window.confidence.clamp(0.01, 0.99)[inner], atol=1e-5, rtol=1e-5)


def test_flow_that_leaves_the_frame_is_not_valid():
    window, cells = pair()
    out = FlowGuidedAligner(LIGHT)(
        replace(window, flows=window.flows + 300, confidence=0 * window.confidence + 1), cells
    )
    assert out["logit"].sigmoid().max() < 0.011


def test_both_frames_are_seen_at_the_neighbours_exposure():
    """Same scene, no motion: the encoder is given the same codes twice where nothing clips."""
    scene = 0.02 + 0.1 * smooth(32, 32)
    frames = [to_ldr(scene, e) for e in (1.0, 8.0)]
    network, seen = FlowGuidedAligner(LIGHT), []
    encode = network.encode
    network.encode = lambda *given: seen.append(given) or encode(*given)
    network(pair_of(*frames, (1.0, 8.0), torch.zeros(1, 2, 32, 32)), torch.ones(1, 1, 1, 8, 8))
    (matched, _, ours), (neighbour, _, theirs) = seen
    torch.testing.assert_close(matched, neighbour, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(matched, match_exposure(frames[0], 1.0, 8.0))
    assert ours.tolist() == [[1, 8]] and theirs.tolist() == [[8, 8]]


def test_attention_fetches_sharp_texture_by_fractions_of_a_pixel():
    """Told where to look, the network has the picture there, whatever the flow said."""
    network, (h, w) = FlowGuidedAligner(LIGHT), (48, 64)
    neighbour, truth = torch.rand(1, 3, h, w), shifted(h, w, 6.5, -2.25)
    positions = torch.stack(torch.meshgrid(torch.arange(16.0), torch.arange(12.0), indexing="xy"))[None]
    found = torch.cat((torch.zeros(1, 2 * 8 + 1 + 48, 12, 16), positions + shifted(12, 16, 6.5, -2.25) / 4), 1)
    network.attention.forward = lambda *_: found
    cells = torch.zeros(1, 1, 12, 16)
    cells[..., 3:9, 3:12] = 1
    warped = torch.rand(1, 3, h, w)
    *_, fetched, motion = network.align(*torch.rand(2, 1, 8, 12, 16), neighbour, warped, 0 * positions, cells, (0, 0))
    inner = (slice(None), slice(None), slice(16, 32), slice(16, 44))
    torch.testing.assert_close(motion[inner], truth[inner], atol=1e-4, rtol=0)
    torch.testing.assert_close(
        fetched[inner], warp(neighbour, truth, mode="bicubic").clamp(0, 1)[inner], atol=1e-3, rtol=0
    )
    assert torch.equal(fetched[..., :12, :], warped[..., :12, :])


def test_attention_carries_pixels_in_blocks():
    network = FlowGuidedAligner(LIGHT)
    network.attention.price.data.fill_(8.0)  # looks only where the flow points
    neighbour, cells = torch.rand(1, 3, 48, 64), torch.ones(1, 1, 12, 16)
    out = network.align(*torch.rand(2, 1, 8, 12, 16), neighbour, neighbour, shifted(12, 16, 2, -1), cells, (0, 0))
    expected = warp(neighbour, shifted(48, 64, 8, -4))
    torch.testing.assert_close(out[1][..., 8:, :-12], expected[..., 8:, :-12], atol=1e-4, rtol=0)


def test_unmasked_pixels_do_not_depend_on_attention():
    network, (window, cells) = nonzero(FlowGuidedAligner(LIGHT), std=0.1).eval(), pair(masked=0)
    before = network(window, cells)
    for p in network.attention.parameters():
        p.data.normal_()
    for name, x in network(window, cells).items():
        assert torch.equal(x, before[name]), name
    assert (network(window, cells + 1)["aligned"] - before["aligned"]).abs().mean() > 1e-3


@pytest.mark.parametrize("h, w", [(4, 4), (17, 31), (45, 24)])
@pytest.mark.parametrize("s", [0, 15, math.inf])
def test_any_size(h, w, s):
    window, _ = pair(h, w)
    out = nonzero(FlowGuidedAligner(LIGHT), std=0.1).eval()(window, attended_cells(window, s))
    shapes = {"aligned": (1, 1, 3, h, w), "logit": (1, 1, 1, h, w), "motion": (1, 1, 2, h, w)}
    assert {name: tuple(x.shape) for name, x in out.items()} == shapes
    assert all(torch.isfinite(x).all() and x.dtype == torch.float32 for x in out.values())
    assert out["aligned"].min() >= 0 and out["aligned"].max() <= 1


def test_pairs_of_a_batch_do_not_mix():
    network, (window, cells) = nonzero(FlowGuidedAligner(LIGHT), std=0.1).eval(), pair(batch=2)
    one = replace(window.map(lambda x: x[1:]), exposures=window.exposures[1:])
    both, second = network(window, cells), network(one, cells[1:])
    for name in both:
        torch.testing.assert_close(both[name][1:], second[name], atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_parameter():
    network = nonzero(FlowGuidedAligner(LIGHT), std=0.1).train()
    out = network(*pair(batch=2))
    (out["aligned"].mean() + out["logit"].mean() + out["motion"].mean()).backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0, name


def test_every_precision_stays_close(forward):
    network = nonzero(FlowGuidedAligner(LIGHT), std=0.1).eval().to(memory_format=torch.channels_last)
    given = pair()
    with torch.no_grad():
        exact = network(*given)
    rough = forward(network, *given)
    for name, tolerance in {"aligned": 0.02, "logit": 0.05, "motion": 0.05}.items():
        assert rough[name].dtype == torch.float32
        assert (rough[name] - exact[name]).abs().mean() < tolerance * exact[name].abs().mean(), name


def test_a_few_steps_bring_the_result_nearer():
    """The neighbour is the reference moved by (6, 0); flow says 0; attention everywhere."""
    torch.manual_seed(0)
    network = FlowGuidedAligner(AlignerConfig(16, 4))
    scene = smooth(48, 64, 3) ** 2
    reference, neighbour = to_ldr(scene, 8.0), to_ldr(scene.roll(6, 3), 1.0)
    still = torch.zeros(1, 2, 48, 64)
    optimiser, losses = torch.optim.Adam(network.parameters(), 2e-3), []
    for _ in range(30):
        out = network(pair_of(reference, neighbour, (8.0, 1.0), still), torch.ones(1, 1, 1, 12, 16))
        loss = (mu_law(out["aligned"][:, 0] ** 2.2) - mu_law(scene)).abs()[..., :-8].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_a_backend_without_autocast_is_left_alone():
    """To turn autocast off is an error there, so it must not be asked for."""
    with in_float32(torch.device("privateuseone")):
        assert True
    with torch.autocast("cpu", torch.bfloat16), in_float32(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
