"""The frame history router against its formula, and its sums over parts of a frame."""

import pytest
import torch
from hdrweave.models.dealthdr.router import FrameHistoryRouter
from hdrweave.models.frame_statistics import side_by_side
from torch.nn import functional as F


def router(width=6, heads=2) -> FrameHistoryRouter:
    torch.manual_seed(0)
    return FrameHistoryRouter(width, heads).requires_grad_(False)


def slow(net: FrameHistoryRouter, x: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Head by head and channel by channel: what x takes from itself and from others (n,B,C,H,W)."""
    width, heads = x.shape[1], net.heads
    frames = [x, *others]
    both = [net.key_value(frame) for frame in frames]
    queries, part, out = net.query(x), width // heads, []
    for b in range(len(x)):
        channels = []
        for h in range(heads):
            own = range(h * part, (h + 1) * part)
            keys = [kv[b, c] for kv in both for c in own]
            values = [kv[b, width + c] for kv in both for c in own]
            for c in own:
                likeness = [F.cosine_similarity(queries[b, c].flatten(), k.flatten(), 0) for k in keys]
                weights = (net.sharpness[h].exp() * torch.stack(likeness)).softmax(0)
                channels.append(sum(w * v for w, v in zip(weights, values, strict=True)))
        out.append(torch.stack(channels))
    return x + net.out(torch.stack(out))


@pytest.mark.parametrize("neighbours", [0, 1, 4])
def test_router_is_the_formula(neighbours):
    """Without neighbours: channel attention with the same weights."""
    x, others = torch.randn(2, 6, 7, 9), torch.randn(2, neighbours, 6, 7, 9)
    expected = slow(router(), x, others.transpose(0, 1))
    got = router()(x, others if neighbours else None)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_neighbours_have_no_order():
    x, others = torch.randn(1, 6, 8, 8), torch.randn(1, 4, 6, 8, 8)
    torch.testing.assert_close(router()(x, others), router()(x, others[:, [2, 0, 3, 1]]), atol=1e-5, rtol=1e-5)


def test_sums_of_parts_are_sums_of_the_whole():
    net = router()
    q, k, _ = net.project(torch.randn(1, 6, 8, 10), torch.randn(1, 2, 6, 8, 10))
    whole = net.sums(q, k)
    parts = [net.sums(q[..., part], k[..., part]) for part in (slice(0, 4), slice(4, 10))]
    for total, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(sum(pieces), total, atol=1e-4, rtol=1e-4)


def test_tiles_run_side_by_side():
    net, x = router(), torch.randn(1, 6, 24, 40)
    parts = [(slice(0, 28), slice(0, 20)), (slice(12, 40), slice(8, 28))]  # columns of a tile, and its core in them

    def run(columns: slice, core: slice):
        mixed = yield from net.run(x[..., columns], None, 1)
        again = yield from net.run(mixed, None, 1)
        return again[..., core]

    def answer(questions):
        sums = [q.function(*(m[..., core] for m in q.maps)) for q, (_, core) in zip(questions, parts, strict=True)]
        return [tuple(map(sum, zip(*sums, strict=True)))] * len(parts)

    left, right = side_by_side([run(*part) for part in parts], answer)
    torch.testing.assert_close(torch.cat((left, right), -1), net(net(x)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_do_not_overflow_in_half_precision(dtype):
    x, others = 50 + torch.randn(1, 6, 128, 128), 50 + torch.randn(1, 4, 6, 128, 128)
    with torch.autocast("cpu", dtype):
        rough = router()(x, others)
    exact = router()(x, others)
    assert torch.isfinite(rough).all() and ((rough - exact).abs().mean() / exact.abs().mean()) < 0.02
