"""FrameWindow: its parts, what is cut and picked from it, what is worked out once, and shapes that are refused."""

from dataclasses import replace

import pytest
import torch
from hdrweave.hdr.exposure import to_radiance
from hdrweave.hdr.frame_window import FrameWindow, check_window, without_reference
from hdrweave.hdr.warp import inside, warp

PLANES = ("frames", "flows", "confidence", "back", "decoded")
DERIVED = ("warped", "warped_radiance", "validity")
SIZE = (12, 20)


def window(count: int = 5, batch: int = 2, back: bool = True, **changes) -> FrameWindow:
    """`count` frames of noise whose flow leads a few pixels away, some of it out of the frame."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape):
        return torch.rand(batch, *shape, *SIZE, generator=generator)

    planes = {
        "frames": noise(count, 3),
        "exposures": torch.tensor([[1.0, 8.0][k % 2] for k in range(count)]).repeat(batch, 1),
        "flows": 8 * noise(count - 1, 2) - 4,
        "confidence": noise(count - 1, 1),
        "back": 8 * noise(count - 1, 2) - 4 if back else None,
    }
    return FrameWindow(**{**planes, **changes})


def same(a: FrameWindow, b: FrameWindow) -> bool:
    """Planes, exposures and origin are equal."""
    pairs = [(getattr(a, name), getattr(b, name)) for name in (*PLANES, "exposures")]
    return a.origin == b.origin and all(x is y is None or torch.equal(x, y) for x, y in pairs)


def test_the_reference_is_in_the_middle_of_its_neighbours():
    w = window(5)
    assert w.size == SIZE and torch.equal(w.reference, w.frames[:, 2]) and w.exposure.tolist() == [1, 1]
    assert torch.equal(w.neighbours, w.frames[:, [0, 1, 3, 4]])
    assert w.neighbour_exposures.tolist() == [[1, 8, 8, 1]] * 2
    assert w.exposure_pairs.tolist() == [[[1, 1], [1, 8], [1, 8], [1, 1]]] * 2
    assert without_reference(torch.arange(7)[None]).tolist() == [[0, 1, 2, 4, 5, 6]]


def test_radiance_is_decoded_or_what_a_caller_has_already():
    w = window(3)
    expected = to_radiance(w.frames, w.exposures[:, :, None, None, None])
    assert torch.equal(w.radiance, expected) and torch.equal(w.reference_radiance, expected[:, 1])
    decoded = torch.rand(w.frames.shape)
    assert replace(w, decoded=decoded).radiance is decoded
    assert torch.equal(replace(w, decoded=decoded).reference_radiance, decoded[:, 1])


def test_neighbours_are_fetched_along_the_flow():
    w = window(5)
    for k, n in enumerate((0, 1, 3, 4)):
        fetched = warp(w.frames[:, n], w.flows[:, k], mode="bicubic").clamp(0, 1)
        torch.testing.assert_close(w.warped[:, k], fetched)
        torch.testing.assert_close(w.warped_radiance[:, k], to_radiance(fetched, w.exposures[0, n]))
        torch.testing.assert_close(w.validity[:, k], w.confidence[:, k] * inside(w.flows[:, k]))
    assert w.validity.min() == 0 and w.validity.max() > 0.9
    still = w.along(torch.zeros_like(w.flows))
    torch.testing.assert_close(still.warped, w.neighbours)
    assert torch.equal(still.validity, w.confidence)


@pytest.mark.parametrize("name", ["radiance", *DERIVED])
def test_what_is_worked_out_is_worked_out_once(name):
    w = window(3)
    assert getattr(w, name) is getattr(w, name)


def test_other_flows_or_planes_do_not_keep_what_was_worked_out():
    w = window(3)
    before = {name: getattr(w, name) for name in DERIVED}
    still = w.along(torch.zeros_like(w.flows))
    assert still.frames is w.frames and still.back is w.back
    torch.testing.assert_close(still.warped, w.neighbours)
    for other in (still, w.map(lambda x: 0.5 * x), w.crop(slice(0, 8), slice(0, 8))):
        for name in DERIVED:
            assert getattr(other, name).shape != before[name].shape or not torch.equal(
                getattr(other, name), before[name]
            )
    assert torch.equal(
        w.map(lambda x: 0.5 * x).radiance, to_radiance(0.5 * w.frames, w.exposures[:, :, None, None, None])
    )


def test_crop_is_the_same_part_of_all_planes():
    w = window(5, decoded=torch.rand(2, 5, 3, *SIZE))
    part = w.crop(slice(4, 11), slice(8, None))
    assert part.size == (7, 12) and part.origin == (4, 8)
    for name in PLANES:
        assert torch.equal(getattr(part, name), getattr(w, name)[..., 4:11, 8:])
    assert torch.equal(part.exposures, w.exposures) and torch.equal(part.radiance, w.decoded[..., 4:11, 8:])
    assert part.crop(slice(2, 5), slice(None, 3)).origin == (6, 8)
    assert same(part.crop(slice(2, 5), slice(None, 3)), w.crop(slice(6, 9), slice(8, 11)))
    assert same(w.crop(slice(None), slice(None)), w)
    assert window(3, back=False).crop(slice(0, 4), slice(0, 4)).back is None


def test_the_nearest_neighbours_share_what_is_worked_out():
    w = window(7, decoded=torch.rand(2, 7, 3, *SIZE), origin=(8, 16))
    assert w.nearest(3) is w
    for reach in (1, 2):
        near = w.nearest(reach)
        frames, others = slice(3 - reach, 4 + reach), slice(3 - reach, 3 + reach)
        assert near.frames.shape[1] == 2 * reach + 1 and near.origin == (8, 16)
        check_window(near)
        assert torch.equal(near.reference, w.reference) and torch.equal(near.exposures, w.exposures[:, frames])
        for name in ("frames", "decoded", "radiance"):
            assert torch.equal(getattr(near, name), getattr(w, name)[:, frames])
        for name in ("flows", "confidence", "back", "neighbours", "neighbour_exposures"):
            assert torch.equal(getattr(near, name), getattr(w, name)[:, others])
        for name in DERIVED:
            shared, alone = near.__dict__[name], getattr(replace(near), name)
            assert shared.data_ptr() == getattr(w, name)[:, others].data_ptr()
            torch.testing.assert_close(shared, alone)


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("known", [False, True], ids=["new", "worked out before"])
def test_a_pair_is_the_reference_and_one_neighbour(count, known):
    w = window(count, decoded=torch.rand(2, count, 3, *SIZE))
    if known:
        assert [getattr(w, name) for name in DERIVED]
    for k, n in enumerate([i for i in range(count) if i != count // 2]):
        pair = w.pair(k)
        assert (pair.__dict__.keys() >= set(DERIVED)) == known
        assert pair.frames.shape[1] == 2 and torch.equal(pair.reference, w.reference)
        assert torch.equal(pair.neighbours, w.frames[:, [n]]) and torch.equal(pair.exposure, w.exposure)
        assert torch.equal(pair.neighbour_exposures, w.exposures[:, [n]])
        assert torch.equal(pair.reference_radiance, w.reference_radiance)
        for name in ("flows", "confidence", "back", "exposure_pairs"):
            assert torch.equal(getattr(pair, name), getattr(w, name)[:, k : k + 1])
        for name in DERIVED:
            torch.testing.assert_close(getattr(pair, name), getattr(replace(w), name)[:, k : k + 1])
    assert window(3, back=False).pair(1).back is None and window(3).pair(1).decoded is None


def test_map_changes_planes_and_nothing_else():
    w = window(3, origin=(8, 8))
    seen = []
    doubled = w.map(lambda x: seen.append(x.shape[1:3]) or 2 * x)
    assert seen == [(3, 3), (2, 2), (2, 1), (2, 2)]  # frames, flows, confidence, back; decoded is not known
    for name in ("frames", "flows", "confidence", "back"):
        assert torch.equal(getattr(doubled, name), 2 * getattr(w, name))
    assert doubled.exposures is w.exposures and doubled.decoded is None and doubled.origin == (8, 8)


@pytest.mark.parametrize("count", [3, 7])
def test_windows_that_fit_are_let_through(count):
    check_window(window(count))


@pytest.mark.parametrize(
    "wrong",
    [
        window(1),
        window(3).pair(0),
        replace(window(3), exposures=torch.ones(2, 2)),
        replace(window(3), exposures=torch.ones(3)),
        replace(window(3), exposures=torch.ones(1, 3)),
        replace(window(3), flows=torch.zeros(2, 3, 2, *SIZE)),
        replace(window(3), flows=torch.zeros(2, 2, 3, *SIZE)),
        replace(window(3), flows=torch.zeros(2, 2, 2, 6, 10)),
        replace(window(3), confidence=torch.zeros(2, 2, *SIZE)),
        replace(window(3), confidence=torch.zeros(1, 2, 1, *SIZE)),
    ],
)
def test_shapes_that_do_not_fit_are_named(wrong):
    with pytest.raises(ValueError, match="do not fit each other: give .* N an odd number from 3") as raised:
        check_window(wrong)
    message = str(raised.value)
    for name in ("frames", "exposures", "flows", "confidence"):
        assert f"{name} {tuple(getattr(wrong, name).shape)}" in message
