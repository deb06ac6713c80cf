"""The base flow network: its correlation against an oracle, what it is before training, and that it can learn."""

import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.exposure import to_ldr
from hdrweave.models import registry
from hdrweave.models.flow.correlation import expected_shift, local_correlation, shifts, standardised
from hdrweave.models.flow.network import FlowConfig, FlowNetwork, trust
from hdrweave.training.losses import flow_loss

SMALL = FlowConfig(features=(24, 24, 16, 16), widths=(24, 24, 16, 16), carried=8)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def inputs(h=50, w=70, batch=2, seed=0):
    """Two frames, their exposures, a start flow and the confidence in it, of nothing in particular."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(2, batch, 3, h, w, generator=generator)
    exposures = torch.tensor([[1.0, 8.0], [4.0, 1.0]]).repeat(batch, 1)[:batch]
    start = 5 * torch.randn(batch, 2, h, w, generator=generator)
    return frames[0], frames[1], exposures, start, torch.rand(batch, 1, h, w, generator=generator)


def shifted_pair(shift, batch=1, size=64, seed=0, ratio=4.0):
    """A texture and the same, moved by `shift` (x, y), at other exposures; nothing is known of the motion."""
    generator = torch.Generator().manual_seed(seed)
    x, y = shift
    reach = max(abs(x), abs(y))
    side = size + 2 * reach
    noise = [torch.rand(batch, 3, side // k, side // k, generator=generator) for k in (1, 4, 16)]
    scene = sum(F.interpolate(n, (side, side), mode="bilinear") for n in noise) / 12
    reference = scene[..., reach : reach + size, reach : reach + size]
    neighbour = scene[..., reach - y : reach - y + size, reach - x : reach - x + size]
    exposures = torch.tensor([[1.0, ratio]]).expand(batch, 2)
    nothing = torch.zeros(batch, 3, size, size)
    return to_ldr(reference, 1.0), to_ldr(neighbour, ratio), exposures, nothing[:, :2], nothing[:, :1]


def shaken(config=SMALL, std=0.05) -> FlowNetwork:
    """A network with something in its last layers."""
    torch.manual_seed(1)
    network = FlowNetwork(config)
    for p in network.parameters():
        if p.detach().abs().max() == 0:
            torch.nn.init.normal_(p, std=std)
    return network


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_correlation_is_that_of_unfolded_features(radius):
    first, second = 30 * torch.randn(2, 2, 5, 7, 9)
    size = 2 * radius + 1
    windows = F.unfold(F.normalize(second, dim=1), size, padding=radius).view(2, 5, size**2, 7, 9)
    expected = (F.normalize(first, dim=1)[:, :, None] * windows).sum(1)
    torch.testing.assert_close(local_correlation(first, second, radius), expected, atol=1e-3, rtol=0)


def test_expected_shift_is_the_certain_one():
    places = shifts(3)
    correlation = F.one_hot(torch.arange(49), 49).float().view(1, 49, 1, 49).transpose(1, 3)
    got = expected_shift(60 * correlation.contiguous())[0, :, 0].T
    torch.testing.assert_close(got, places.float())


@pytest.mark.parametrize("shift", [(32, -16), (-48, 0), (16, 64)])
def test_correlation_alone_finds_a_known_shift(shift):
    """At 1/16, untrained, between two exposures: the most alike place within the radius is the right one."""
    torch.manual_seed(0)
    network = FlowNetwork().eval()
    given = shifted_pair(shift, size=192)
    with torch.no_grad():
        first, second = network.encode(*given[:3])
        best = local_correlation(standardised(first[0]), standardised(second[0]), 5).argmax(1)
    x, y = (s // 16 for s in shift)
    found = shifts(5)[best[0]]
    inner = found[max(0, -y) : 12 - max(0, y), max(0, -x) : 12 - max(0, x)]
    assert ((inner == torch.tensor((x, y))).all(-1)).float().mean() > 0.8  # by chance 1/121


def test_before_training_it_is_the_start_flow():
    given = inputs()
    with torch.no_grad():
        out = FlowNetwork().eval()(*given)
    assert torch.equal(out["flow"], given[3])
    torch.testing.assert_close(out["logit"].sigmoid(), given[4].clamp(0.01, 0.99))


def test_trust_begins_at_nothing_and_can_be_complete():
    logits = torch.tensor([0.0, 3.0, 30.0], requires_grad=True)
    share = trust(logits)
    assert share[0] == 0 and 0.1 < share[1] < 0.5 and 1 - share[2] < 1e-6
    assert torch.autograd.grad(share[0], logits)[0][0] > 0.04


def test_size_and_parameters():
    network = FlowNetwork()
    assert sum(p.numel() for p in network.parameters()) < 1_200_000
    again = registry.build("base_flow", {"features": [80, 64, 40, 24]})
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (1, 5), (64, 48)])
def test_any_size(size):
    out = shaken().eval()(*inputs(*size))
    assert out["flow"].shape == (2, 2, *size) and out["logit"].shape == (2, 1, *size)
    assert out["flow"].isfinite().all() and out["logit"].isfinite().all()
    padded = [-(-s // 16) for s in size]
    assert [tuple(x.shape[2:]) for x in out["levels"]] == [tuple(k * s for s in padded) for k in (1, 2, 4, 8)]


def test_pairs_of_a_batch_do_not_mix():
    network, given = shaken().eval(), inputs(batch=3)
    with torch.no_grad():
        whole = network(*given)
        for k in range(3):
            alone = network(*(x[k : k + 1] for x in given))
            for name in ("flow", "logit"):
                torch.testing.assert_close(whole[name][k : k + 1], alone[name], atol=2e-4, rtol=1e-4)


def test_both_directions_share_the_encoder():
    """Swapped frames and exposures give swapped features."""
    network, (reference, neighbour, exposures, *_) = shaken().eval(), inputs()
    first, second = network.encode(reference, neighbour, exposures)
    again_second, again_first = network.encode(neighbour, reference, exposures.flip(1))
    for a, b in zip((*first, *second), (*again_first, *again_second), strict=True):
        torch.testing.assert_close(a, b)


def test_exposure_does_not_matter_where_nothing_clips():
    """The matched planes of both frames are alike: that is what correlation can hold on to."""
    reference, neighbour, exposures, *_ = shifted_pair((0, 0))
    network, seen = FlowNetwork(SMALL), []
    network.encoder.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    network.encode(reference, neighbour, exposures)
    planes = F.pixel_shuffle(seen[0][:, :40], 2)
    torch.testing.assert_close(planes[0, 3:9], planes[1, 3:9], atol=1e-3, rtol=0)
    assert (planes[0, :3] - planes[1, :3]).abs().mean() > 0.1


def test_gradients_reach_every_parameter():
    network = shaken()
    out = network(*inputs())
    total = out["flow"].square().mean() + out["logit"].square().mean()
    for name, gradient in zip(
        dict(network.named_parameters()), torch.autograd.grad(total, list(network.parameters())), strict=True
    ):
        assert gradient.isfinite().all() and gradient.abs().max() > 0, name


def test_white_frames_leave_gradients_small():
    network = shaken()
    reference, neighbour, exposures, start, confidence = inputs(48, 48)
    white = torch.ones_like(reference)
    for frames in ((white, white), (reference, white)):
        out = network(*frames, exposures, start, confidence)
        total = out["flow"].mean() + out["logit"].mean() + sum(m.mean() for _, m in out["matches"])
        assert max(g.norm() for g in torch.autograd.grad(total, list(network.parameters()))) < 100


def test_bf16_stays_close():
    network, given = shaken().eval(), inputs(64, 96)
    with torch.no_grad():
        exact = network(*given)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(*given)
    change = (exact["flow"] - given[3]).norm(dim=1)
    difference = (half["flow"] - exact["flow"]).norm(dim=1)
    assert half["flow"].dtype == torch.float32 and change.mean() > 0.01
    assert difference.mean() < 0.03 * change.mean()


def test_it_learns_to_see_motion_that_it_is_not_told():
    torch.manual_seed(0)
    network = FlowNetwork(SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    errors = []
    for step in range(60):
        shift = [(8, -16), (-16, 0), (16, 16), (0, 24)][step % 4]
        exact = torch.tensor(shift, dtype=torch.float32)[None, :, None, None].expand(2, 2, 64, 64)
        out = network(*shifted_pair(shift, batch=2, seed=step))
        loss = flow_loss([*out["levels"][:-1], out["flow"]], exact)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        errors.append(float((out["flow"].detach() - exact)[..., 16:-16, 16:-16].norm(dim=1).mean()))
    assert sum(errors[-8:]) < 0.6 * sum(errors[:8]), errors[-8:]
