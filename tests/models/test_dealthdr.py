"""DeAltHDR's encoders, the pictures that it merges, and the whole network: formulas, where it starts, what it bears."""

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr, to_radiance
from hdrweave.hdr.frame_window import FrameWindow
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.noise_model import MIN_VALIDITY
from hdrweave.hdr.warp import inside, warp
from hdrweave.models.dealthdr.dealthdr import DeAltHDR, DeAltHDRConfig
from hdrweave.models.dealthdr.encoder import DualEncoder, long_like, normalised_pair
from hdrweave.models.dealthdr.merge import gather_candidates
from hdrweave.models.f2hdr.fusion import sensor_prior, weighted_mean
from torch.nn import functional as F

SMALL = DeAltHDRConfig(width=4, windows=(4, 4, 4))
CYCLES = {2: (1.0, 8.0), 3: (1.0, 4.0, 16.0)}


def network(shaken: bool = False, config: DeAltHDRConfig = SMALL) -> DeAltHDR:
    """As it starts, or with small weights in the layers that start at zero."""
    torch.manual_seed(0)
    net = DeAltHDR(config)
    for p in net.parameters():
        if shaken and p.detach().abs().max() == 0:
            torch.nn.init.normal_(p, std=0.05)
    return net


def scene(h=37, w=50, period=2, n=5, batch=1, masked=0.3, seed=0):
    """frames, exposures, flows, confidence, cells of a scene that hardly moves, taken at the exposures of the period."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, h // 8 + 2, w // 8 + 2, generator=g) ** 3
    light = F.interpolate(coarse, (h, w), mode="bilinear", align_corners=True)[:, None]
    light = light * (1 + 0.05 * torch.rand(batch, n, 3, h, w, generator=g))
    exposures = torch.tensor([[CYCLES[period][t % period] for t in range(n)]] * batch)
    frames = to_ldr(light, exposures[:, :, None, None, None])
    flows = 0.5 * torch.randn(batch, n - 1, 2, h, w, generator=g)
    confidence = 0.2 + 0.8 * torch.rand(batch, n - 1, 1, h, w, generator=g)
    cells = (torch.rand(batch, n - 1, 1, -(-h // 4), -(-w // 4), generator=g) < masked).float()
    return frames, exposures, flows, confidence, cells


# --- encoders --------------------------------------------------------------------------------------------------------


def test_pairs_lie_on_one_scale():
    """The same scene at any exposure gives the same pair; linear and gamma halves are the paper's."""
    light = 0.01 + 0.05 * torch.rand(1, 3, 8, 8)
    pairs = [normalised_pair(to_radiance(to_ldr(light, e), e)) for e in (1.0, 8.0, 16.0)]
    for pair in pairs:
        torch.testing.assert_close(pair[:, :3], light, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(pair[:, 3:], light ** (1 / 2.2), atol=1e-6, rtol=1e-4)


def test_every_frame_has_the_encoder_of_its_exposure():
    assert long_like(torch.tensor([1.0, 8.0])).tolist() == [False, True]
    assert long_like(torch.tensor([1.0, 4.0, 16.0])).tolist() == [False, True, True]  # the third is long-like
    assert long_like(torch.tensor([1.0, 1.05, 2.0])).tolist() == [False, False, True]


@pytest.mark.parametrize("shared", range(4))
def test_encoders_are_independent_down_to_the_shared_levels(shared):
    torch.manual_seed(0)
    encoder = DualEncoder(4, shared).requires_grad_(False)
    codes, exposures = torch.rand(3, 3, 16, 24), torch.tensor([1.0, 8.0, 1.0])
    before = encoder(codes, to_radiance(codes, exposures[:, None, None, None]), exposures)
    assert [tuple(x.shape) for x in before] == [(3, 4, 8, 12), (3, 8, 4, 6), (3, 16, 2, 3)]
    for number, kinds in enumerate(encoder.levels, 1):
        assert len(kinds) == (1 if number > 3 - shared else 2)
        last = kinds[-1][-1].second.weight  # of the long frames, or of all
        last += 0.1
        after = encoder(codes, to_radiance(codes, exposures[:, None, None, None]), exposures)
        changed = [
            float((a - b).abs().amax()) > 1e-4 for a, b in zip(after[number - 1], before[number - 1], strict=True)
        ]
        assert changed == ([True] * 3 if len(kinds) == 1 else [False, True, False])
        last -= 0.1


def test_a_frame_is_encoded_alone_as_among_others():
    torch.manual_seed(0)
    encoder = DualEncoder(4)
    codes, exposures = torch.rand(4, 3, 16, 16), torch.tensor([8.0, 1.0, 8.0, 1.0])
    together = encoder(codes, to_radiance(codes, exposures[:, None, None, None]), exposures)
    for k in range(4):
        for whole, alone in zip(
            together, encoder(codes[[k]], to_radiance(codes[[k]], float(exposures[k])), exposures[[k]]), strict=True
        ):
            torch.testing.assert_close(whole[[k]], alone, atol=1e-5, rtol=1e-5)


def test_sharing_saves_parameters_and_nonsense_is_refused():
    counts = [sum(p.numel() for p in DualEncoder(4, shared).parameters()) for shared in range(4)]
    assert counts == sorted(counts, reverse=True) and counts[0] == 2 * counts[3]
    with pytest.raises(ValueError, match="4 shared levels"):
        DualEncoder(4, 4)


# --- pictures --------------------------------------------------------------------------------------------------------


def test_neighbours_are_fetched_by_flow_and_where_attention_looked():
    frames, exposures, flows, confidence, _ = scene(24, 32)
    attended = torch.zeros(1, 4, 1, 24, 32)
    attended[:, :, :, 8:16, 8:20] = 1
    motion = torch.ones(1, 4, 2, 24, 32) * torch.tensor([3.0, -2.0])[:, None, None]
    window = FrameWindow(frames, exposures, flows, confidence)
    pictures = gather_candidates(window, attended, motion)
    inner = (..., slice(8, 16), slice(8, 20))
    for k in range(4):
        e, neighbour = window.neighbour_exposures[0, k], window.neighbours[:, k]
        by_flow = to_radiance(warp(neighbour, flows[:, k], mode="bicubic"), e)
        torch.testing.assert_close(pictures.radiance[:, 1 + k], by_flow)
        looked = to_radiance(warp(neighbour, motion[:, k], mode="bicubic"), e)
        found = pictures.radiance[:, 5 + k]
        torch.testing.assert_close(found[inner], looked[inner])
        assert torch.equal(found[..., :8, :], pictures.radiance[:, 1 + k, :, :8])
    votes = torch.zeros(1, 8, 24, 32)
    votes[:, 4:] = 30.0  # for what attention found
    changed = (pictures.merged(votes) - pictures.merged(torch.zeros_like(votes))).abs().amax(1) > 1e-5
    assert not changed[0, :8].any() and changed[inner].float().mean() > 0.5


# --- the whole -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [2, 3])
def test_it_starts_as_the_classical_merge(period):
    frames, exposures, flows, confidence, cells = scene(40, 48, period)
    reference, others = frames[:, 2:3], frames[:, [0, 1, 3, 4]]
    warped = torch.stack([warp(others[:, k], flows[:, k], mode="bicubic").clamp(0, 1) for k in range(4)], 1)
    candidates, taken = torch.cat((reference, warped), 1), exposures[:, [2, 0, 1, 3, 4]]
    radiance = to_radiance(candidates, taken[:, :, None, None, None])
    seen = inside(flows.flatten(0, 1)).unflatten(0, flows.shape[:2])
    validity = torch.cat((torch.ones_like(confidence[:, :1]), confidence * seen), 1)
    prior, _, bounds, _ = sensor_prior(candidates, radiance, taken, validity)
    expected = weighted_mean(radiance, prior).clamp(*bounds)
    for mask in (torch.zeros_like(cells), cells, torch.ones_like(cells)):
        with torch.no_grad():
            out = network()(FrameWindow(frames, exposures, flows, confidence), mask)
        # what attention found counts as little as what nothing is known about, such as flow from outside of the frame
        known = (validity[:, 1:] > 0.1).all(1).expand_as(expected) | (mask.sum() == 0)
        difference = (out["hdr"] - expected)[known].abs()
        assert known.float().mean() > 0.5
        assert difference.mean() < MIN_VALIDITY and difference.quantile(0.99) < 30 * MIN_VALIDITY
        torch.testing.assert_close(out["merged"], out["hdr"], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (37, 50), (33, 21)])
@pytest.mark.parametrize("n, period", [(3, 2), (5, 3), (7, 2)])
def test_any_size_and_any_number_of_neighbours(size, n, period):
    frames, exposures, flows, confidence, cells = scene(*size, period, n)
    with torch.no_grad():
        out = network(True)(FrameWindow(frames, exposures, flows, confidence), cells)
    assert out["hdr"].shape == out["merged"].shape == (1, 3, *size) and out["motion"].shape == flows.shape
    for x in out.values():
        assert x.dtype == torch.float32 and torch.isfinite(x).all()
    assert 0 <= out["hdr"].min() and out["hdr"].max() <= 1
    unmasked = (cells.repeat_interleave(4, 3).repeat_interleave(4, 4)[..., : size[0], : size[1]] == 0).expand_as(flows)
    torch.testing.assert_close(out["motion"][unmasked], flows[unmasked])


def test_neighbours_have_no_order():
    frames, exposures, flows, confidence, cells = scene(24, 32)
    order, among = [3, 0, 2, 4, 1], [2, 0, 3, 1]
    with torch.no_grad():
        one = network(True)(FrameWindow(frames, exposures, flows, confidence), cells)["hdr"]
        other = network(True)(
            FrameWindow(frames[:, order], exposures[:, order], flows[:, among], confidence[:, among]), cells[:, among]
        )
    torch.testing.assert_close(other["hdr"], one, atol=1e-4, rtol=1e-3)


def test_without_a_mask_no_attention_is_worked_out():
    frames, exposures, flows, confidence, cells = scene(24, 32)
    net = network(True).requires_grad_(False)
    for level in net.levels:
        level.attention.attend_windows = level.attention.key.forward = None  # calling one would fail
    net(FrameWindow(frames, exposures, flows, confidence), torch.zeros_like(cells))
    with pytest.raises(TypeError):
        net(FrameWindow(frames, exposures, flows, confidence), cells)


def test_all_parameters_learn():
    frames, exposures, flows, confidence, cells = scene(32, 40)
    net = network(True)
    out = net(FrameWindow(frames, exposures, flows, confidence), cells)
    (out["hdr"].square().sum() + 1e-3 * out["motion"].square().sum()).backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert all("attention" in name and "bias" in name for name in silent), silent  # keys' biases cancel in a softmax


def test_every_precision_stays_close(forward):
    *planes, cells = scene(40, 48)
    given = FrameWindow(*planes), cells
    net = network(True).requires_grad_(False)
    exact = net(*given)["hdr"]
    rough = forward(net, *given)["hdr"]
    assert rough.dtype == torch.float32 and psnr_mu(rough[0].movedim(0, -1), exact[0].movedim(0, -1)) > 45


def test_what_does_not_fit_is_named():
    frames, exposures, flows, confidence, cells = scene(16, 16)
    with pytest.raises(ValueError, match="do not fit each other"):
        network()(FrameWindow(frames, exposures, flows[:, :3], confidence), cells)
    with pytest.raises(ValueError, match="do not fit frames"):
        network()(FrameWindow(frames, exposures, flows, confidence), cells[..., :3])
