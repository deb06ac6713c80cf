"""The search for large motion: its correlation against an oracle, what it finds before training, and that it can learn."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.exposure import to_ldr
from hdrweave.models import registry
from hdrweave.models.flow.base_flow import MotionSearch, MotionSearchConfig, expected_motion, planes, stride
from hdrweave.models.flow.correlation import expected_shift, local_correlation, shifts
from hdrweave.training.recipes.base_flow import search_loss
from small_shards import one_thread

SMALL = MotionSearchConfig(radius=4, features=(12, 16, 16))


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


def panned(shift, batch=1, size=64, seed=0, ratio=4.0, steps=(1, -1)):
    """A texture that moves by `shift` (x, y) from frame to frame, with two neighbours at another exposure."""
    generator = torch.Generator().manual_seed(seed)
    reach = 16 * -(-max(abs(k * s) for k in shift for s in steps) // 16)
    side = size + 2 * reach
    noise = [torch.rand(batch, 3, side // k, side // k, generator=generator) for k in (1, 4, 16)]
    scene = sum(F.interpolate(n, (side, side), mode="bilinear") for n in noise) / 12

    def view(step):
        x, y = (reach - step * k for k in shift)
        return scene[..., y : y + size, x : x + size]

    neighbours = torch.stack([to_ldr(view(s), ratio) for s in steps], 1)
    return to_ldr(view(0), 1.0), neighbours, torch.tensor([[1.0, ratio]]).expand(batch, 2), steps


def shaken(config=SMALL) -> MotionSearch:
    """A network with something in its last layer."""
    torch.manual_seed(1)
    network = MotionSearch(config).eval()
    torch.nn.init.normal_(network.support[-1].weight, std=0.05)
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


def share_right(network, given, shift, within=1.0) -> float:
    """Of the inner cells, those whose motion to both neighbours is right."""
    with torch.no_grad():
        flows = expected_motion(network(*given), given[3])[0]
    expected = torch.tensor(shift).view(2, 1, 1) * torch.tensor(given[3]).view(2, 1, 1, 1) / 8
    right = ((flows - expected).norm(dim=1) < within).all(0)
    return float(right[6:-6, 6:-6].float().mean())


@pytest.mark.parametrize(
    "shift, steps", [((32, -16), (1, -1)), ((-56, 0), (1, -1)), ((16, 40), (1, -2)), ((8, -24), (2, -1))]
)
def test_it_finds_a_known_motion_before_training(shift, steps):
    """Between two exposures, most alike is most likely; by chance one cell of 60 would be right."""
    torch.manual_seed(0)
    assert share_right(MotionSearch().eval(), panned(shift, size=192, steps=steps), shift) > 0.8


def test_it_sees_through_a_blind_frame():
    """Where the frame shows nothing, the motion between its neighbours is found all the same."""
    torch.manual_seed(0)
    reference, *others = panned((24, -16), size=192)
    assert share_right(MotionSearch().eval(), (torch.ones_like(reference), *others), (24, -16)) > 0.8


def test_motion_is_counted_to_the_nearer_neighbour():
    assert [stride(s) for s in ((1, -1), (2, -1), (1, -2), (2, -4), (0, 0))] == [1, 1, 1, 2, 1]
    torch.manual_seed(0)
    given = panned((8, 16), size=192, steps=(2, -4))  # 2 and 4 frames away, as in a clip whose frames are missing
    assert share_right(MotionSearch().eval(), given, (8, 16)) > 0.8


def test_likeliest_is_the_middle_of_the_best_place():
    logits = torch.full((1, 25, 1, 1), -20.0)
    places = [tuple(x) for x in shifts(2).tolist()]
    logits[0, places.index((1, -1))] = logits[0, places.index((2, -1))] = 3.0
    logits[0, places.index((-2, 2))] = 3.2  # alone
    flows = expected_motion(logits, (2, -1))
    torch.testing.assert_close(flows[0, :, :, 0, 0], torch.tensor([[3.0, -2.0], [-1.5, 1.0]]), atol=1e-3, rtol=0)


def test_size_and_parameters():
    network = MotionSearch()
    assert sum(p.numel() for p in network.parameters()) < 200_000
    again = registry.build("base_flow", {"features": [24, 40, 64]})
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (1, 5), (64, 48)])
@pytest.mark.parametrize("steps", [(1, -1), (1, -2), (1, 1), (0, 0), (2, -4)])
def test_any_size_and_steps(size, steps):
    """Also the steps at the ends of a short clip, which mirror both neighbours onto one side, or onto the frame."""
    frames = torch.rand(2, 3, 3, *size)
    exposures = torch.tensor([[1.0, 8.0], [4.0, 1.0]])
    with torch.no_grad():
        logits = shaken()(frames[:, 0], frames[:, 1:], exposures, steps)
    assert logits.shape == (2, 81, *(-(-s // 8) for s in size)) and logits.isfinite().all()
    assert expected_motion(logits, steps).shape == (2, 2, 2, *logits.shape[-2:])


def test_frames_of_a_batch_do_not_mix():
    network = shaken()
    *given, steps = panned((8, 0), batch=3, size=96)
    given[0] = given[0] * torch.tensor([1.0, 0.5, 0.8]).view(3, 1, 1, 1)
    with torch.no_grad():
        whole = network(*given, steps)
        for k in range(3):
            alone = network(*(x[k : k + 1] for x in given), steps)
            torch.testing.assert_close(whole[k : k + 1], alone, atol=2e-3, rtol=1e-3)


def test_exposure_does_not_matter_where_nothing_clips():
    """The matched planes of both frames are alike: that is what correlation can hold on to."""
    reference, neighbours, exposures, _ = panned((0, 0))
    own, other = exposures[0]
    first = planes(reference, own[None], other[None], 8)
    second = planes(neighbours[:, 0], other[None], own[None], 8)
    first, second = (F.pixel_shuffle(x[:, :40], 2) for x in (first, second))
    torch.testing.assert_close(first[:, 3:9], second[:, 3:9], atol=1e-3, rtol=0)
    assert (first[:, :3] - second[:, :3]).abs().mean() > 0.1


def test_gradients_reach_every_parameter_and_stay_small_on_white():
    network = shaken().train()
    given = panned((8, 0), size=96)
    white = (torch.ones_like(given[0]), torch.ones_like(given[1]), *given[2:])
    for frames, low in ((given, 0.0), (white, -1.0)):
        motion = torch.tensor([8.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 96, 96)
        total = search_loss(network(*frames), motion, torch.ones(1, 1, 96, 96))
        for name, g in zip(
            dict(network.named_parameters()), torch.autograd.grad(total, list(network.parameters())), strict=True
        ):
            assert g.isfinite().all() and low < g.norm() < 100, name


def test_every_precision_stays_close(forward):
    """Where there is something to see: in noise, the likeliest of many alike motions may be another."""
    torch.manual_seed(0)
    network, given = MotionSearch().eval(), panned((16, -24), size=192)
    assert forward(network, *given).dtype == torch.float32
    assert share_right(partial(forward, network), given, (16, -24)) > 0.8


def test_it_learns():
    torch.manual_seed(0)
    network = MotionSearch(SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for step in range(40):
        shift = [(8, -16), (-16, 0), (16, 16), (0, 24)][step % 4]
        motion = torch.tensor(shift).float().view(1, 2, 1, 1).expand(1, 2, 96, 96)
        reference, *others = panned(shift, size=96, seed=step, ratio=16.0)
        noisy = (reference + 0.1 * torch.randn_like(reference)).clamp(0, 1)
        total = search_loss(network(noisy, *others), motion, torch.ones(1, 1, 96, 96))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8]), losses[-8:]
