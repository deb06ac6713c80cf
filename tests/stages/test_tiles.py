"""Large frames in tiles give what whole frames give: maps on every grid, sums and maps of the frame, windows."""

import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.frame_window import FrameWindow
from hdrweave.models.blocks import pad_to_multiple
from hdrweave.models.frame_statistics import FrameMap, FrameSum, total_and_count
from hdrweave.stages.runtime import tiles
from hdrweave.stages.runtime.tiles import in_tiles

SIZES = pytest.mark.parametrize("size", [(64, 96), (61, 91), (45, 50), (33, 97)], ids=str)
SCALES = pytest.mark.parametrize("scale", [1, 2, 4])


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "CORE", (24, 40))
    monkeypatch.setattr(tiles, "MARGIN", 16)


def picture(size, channels: int = 3) -> torch.Tensor:
    """(1,C,H,W), no part like another, the lower right end unlike the rest, so that padding matters."""
    x = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(0))
    x[..., -3:, :] += 2
    x[..., :, -3:] += 3
    return x


def whole_and_tiled(size, compute, *inputs, monkeypatch):
    """The results of `in_tiles` on the whole frame and in tiles; that `compute` was called for each tile is checked."""
    calls = []

    def counted(*given):
        calls.append(given)
        return compute(*given)

    count = len(tiles.tiles(size))
    tiled = in_tiles(size, counted, *inputs)
    assert len(calls) == count >= 4
    with monkeypatch.context() as patch:
        patch.setattr(tiles, "CORE", size)
        whole = in_tiles(size, counted, *inputs)
    assert len(calls) == count + 1
    return whole, tiled


def equal(whole, tiled) -> None:
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=1e-5)


def coarse(x: torch.Tensor, scale: int) -> torch.Tensor:
    """(1,C,H,W), padded as networks pad it, on a grid `scale` times as coarse."""
    return F.avg_pool2d(pad_to_multiple(x, tiles.ALIGNMENT), scale)


def blurred(x: torch.Tensor) -> torch.Tensor:
    """Each channel convolved with 3x3 unlike weights, zeros beyond its edges."""
    kernel = torch.arange(1.0, 10).view(1, 1, 3, 3).repeat(x.shape[1], 1, 1, 1) / 45
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])


@SIZES
@SCALES
def test_a_local_convolution(size, scale, monkeypatch):
    whole, tiled = whole_and_tiled(size, lambda x: blurred(coarse(x, scale)), picture(size), monkeypatch=monkeypatch)
    assert whole.shape[-2:] == tuple(-(-side // 8) * 8 // scale for side in size)
    equal(whole, tiled)


@SIZES
def test_maps_without_padding_and_on_several_grids(size, monkeypatch):
    """What is returned at the size of the frame, or of a grid that is rounded up, has that size again."""

    def compute(x):
        cells = -(-x.shape[-2] // 4), -(-x.shape[-1] // 4)
        return blurred(x), F.avg_pool2d(pad_to_multiple(x, 4), 4)[..., : cells[0], : cells[1]], coarse(x, 2)

    whole, tiled = whole_and_tiled(size, compute, picture(size), monkeypatch=monkeypatch)
    assert whole[0].shape[-2:] == size and whole[1].shape[-2:] == tuple(-(-side // 4) for side in size)
    equal(whole, tiled)


@SIZES
@SCALES
def test_inputs_on_coarser_grids(size, scale, monkeypatch):
    """Rounded up, as masks are, or padded, as features are."""
    x = picture(size)
    rounded = tuple(-(-side // scale) for side in size)
    for grid in (coarse(x, scale)[..., : rounded[0], : rounded[1]], coarse(x, scale)):

        def compute(x, grid):
            mine = coarse(x, scale)
            rows, columns = (a - b for a, b in zip(mine.shape[-2:], grid.shape[-2:], strict=True))
            return blurred(mine) + F.pad(grid, (0, columns, 0, rows))

        equal(*whole_and_tiled(size, compute, x, grid, monkeypatch=monkeypatch))


@SIZES
@SCALES
def test_a_mean_over_the_frame(size, scale, monkeypatch):
    """Of the frame alone: padding has no part in it, and no pixel counts twice."""
    means = []

    def compute(x):
        x = coarse(x, scale)
        total, count = yield FrameSum(lambda y: total_and_count(y), [x], scale)
        means.append(total / count)
        return blurred(x) - total / count

    whole, tiled = whole_and_tiled(size, compute, picture(size), monkeypatch=monkeypatch)
    equal(whole, tiled)
    rows, columns = (-(-side // scale) for side in size)
    expected = coarse(picture(size), scale)[..., :rows, :columns].mean((2, 3), keepdim=True)
    for mean in means:
        torch.testing.assert_close(mean, expected)


@SIZES
def test_a_map_of_the_frame(size, monkeypatch):
    """What depends on all of a frame, made once from its small map, on two grids."""
    made = []

    def running_sums(x):
        made.append(x)
        return x.cumsum(-1).cumsum(-2) / x[0, 0].numel(), F.avg_pool2d(x.flip(-1), 2)

    def compute(x):
        x = coarse(x, 4)
        sums, half = yield FrameMap(running_sums, x, 4, (4, 8))
        return x + sums, half, F.interpolate(half, scale_factor=2, mode="nearest") * x

    whole, tiled = whole_and_tiled(size, compute, picture(size), monkeypatch=monkeypatch)
    equal(whole, tiled)
    assert len(made) == 2
    equal(made[1], made[0])


@SIZES
def test_questions_one_after_the_other(size, monkeypatch):
    """The second depends on the answer to the first; other than maps, inputs are passed on as they are."""
    factors = torch.tensor([1.0, 2.0, 3.0])

    def compute(x, factors, power):
        x = coarse(x, 2) * factors.view(1, 3, 1, 1)
        squares, count = yield FrameSum(lambda y, z: total_and_count(y * z**power), [x, x], 2)
        x = x / (squares / count).sqrt()
        (high,) = yield FrameMap(lambda y: (y.cummax(-1).values,), x, 2, (2,))
        total, count = yield FrameSum(lambda y: total_and_count(y), [high], 2)
        return {"x": x - high + total / count}["x"], x

    equal(*whole_and_tiled(size, compute, picture(size), factors, 1, monkeypatch=monkeypatch))


@SIZES
def test_windows_are_cut_and_know_where_they_lie(size, monkeypatch):
    n = 3
    planes = {
        name: picture((*size,), c * k).view(1, k, c, *size)
        for name, c, k in (("frames", 3, n), ("flows", 2, n - 1), ("confidence", 1, n - 1), ("back", 2, n - 1))
    }
    window = FrameWindow(exposures=torch.tensor([[8.0, 1.0, 8.0]]), **planes)

    def compute(window):
        assert window.exposures.tolist() == [[8, 1, 8]]
        rows, columns = (torch.arange(s) + o for s, o in zip(window.size, window.origin, strict=True))
        place = (1000 * rows[:, None] + columns).expand(1, 1, *window.size).float()
        return torch.cat((place, *(x.flatten(1, 2) for x in (window.radiance, window.flows, window.back))), 1)

    equal(*whole_and_tiled(size, compute, window, monkeypatch=monkeypatch))


def test_a_small_frame_is_one_tile():
    """Also one that is longer than a core, as long as it has no more pixels."""
    x = picture((8, 120))
    assert in_tiles((8, 120), lambda given: given, x) is x
    assert len(tiles.tiles((8, 121))) > 1


CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
MPS = RuntimeError("MPS backend out of memory (MPS allocated: 17.11 GB, max allowed: 18.13 GB)")
CONVOLUTION = RuntimeError("GET was unable to find an engine to execute this computation")
CUBLAS = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def short_of_memory(most: int, error: RuntimeError = CUDA):
    """A computation that needs the memory of at most so many pixels."""

    def compute(x: torch.Tensor) -> torch.Tensor:
        if x.shape[-2] * x.shape[-1] > most:
            raise error
        return F.avg_pool2d(x, 3, 1, 1)

    return compute


@pytest.mark.parametrize("error", [CUDA, MPS, CONVOLUTION, CUBLAS])
def test_smaller_tiles_follow_where_memory_is_short(error, monkeypatch):
    monkeypatch.setattr(tiles, "CORE", (64, 96))
    given = picture((64, 96))
    found = in_tiles((64, 96), short_of_memory(48 * 64, error), given)
    equal(F.avg_pool2d(given, 3, 1, 1), found)


def test_tiles_that_are_held_together_are_halved_once(monkeypatch):
    """Smaller ones would take more memory."""
    monkeypatch.setattr(tiles, "CORE", (64, 96))
    asked = []

    def network(most: int):
        def run(x):
            asked.append(x.shape[-2:])
            total, count = yield FrameSum(total_and_count, [x], 1)
            return short_of_memory(most)(x) - total / count

        return run

    found = in_tiles((64, 96), network(48 * 64), picture((64, 96)))
    equal(F.avg_pool2d(picture((64, 96)), 3, 1, 1) - picture((64, 96)).mean((2, 3), keepdim=True), found)
    assert len(asked) == 1 + 4
    with pytest.raises(torch.OutOfMemoryError, match="even in tiles of 48x32: close"):
        in_tiles((64, 96), network(10), picture((64, 96)))
    assert len(asked) == 2 * (1 + 4)


def test_other_errors_are_raised_at_once():
    calls = []

    def wrong(x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        raise RuntimeError("the size of tensor a must match that of b")

    with pytest.raises(RuntimeError, match="size of tensor a"):
        in_tiles((64, 96), wrong, picture((64, 96)))
    assert len(calls) == 1


def test_too_little_memory_is_said_in_a_sentence():
    with pytest.raises(
        torch.OutOfMemoryError, match="too little memory for frames of 96x64, even in tiles of 10x6.*unable to find"
    ):
        in_tiles((64, 96), short_of_memory(10, CONVOLUTION), picture((64, 96)))
