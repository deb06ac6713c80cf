"""DIS in PyTorch: OpenCV as oracle, in OpenCV's own order of patches and in ours; all sizes, and nothing that waits."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.cv import cv2
from hdrweave.models.flow import dis as module
from hdrweave.models.flow import inverse_search, variational
from hdrweave.models.flow.dis import PRESETS, DISConfig, dis_flow
from hdrweave.stages.flow.dis_backends import create_dis
from hdrweave.training.evaluation.dis_agreement import compare, frame_pair, moving_texture, opencv_flow
from small_shards import one_thread
from torch.utils._python_dispatch import TorchDispatchMode

CRASHES = [(16, 100), (8, 256), (20, 640), (28, 333), (32, 640), (40, 1000), (8, 300)]  # OpenCV, on flat frames
STRIPS = [(1, 1), (1, 4000), (4000, 1), (3, 1500), (1500, 9)]


def as_flow(field: np.ndarray) -> torch.Tensor:
    """OpenCV's (h,w,2) as (1,2,h,w)."""
    return torch.from_numpy(field).movedim(-1, 0)[None]


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def sample(pytestconfig):
    return frame_pair(pytestconfig.rootpath / "workflows/assets/sample_alternating.mp4", 4, (136, 256))


def in_opencv_order(patches, flow, iterations, initial=None):
    """OpenCV's order: each patch after its left and upper neighbours, so that only those of one diagonal are computed at once."""
    motion, strip = patches.centres(flow).clone(), -(-patches.rows // inverse_search.STRIPS)
    row = torch.arange(patches.rows)[:, None].expand(-1, patches.columns)
    column = torch.arange(patches.columns).expand(patches.rows, -1)
    length = (patches.rows - row // strip * strip).clamp(max=strip)  # of the strip that a patch is in
    for by in (1, -1):
        down = row % strip if by > 0 else length - 1 - row % strip
        along = column if by > 0 else patches.columns - 1 - column
        for turn in range(int((down + along).max()) + 1):
            here = ((down + along).flatten() == turn).nonzero()[:, 0]
            some = object.__new__(inverse_search.Patches)
            some.__dict__ = dict(patches.__dict__, corner=patches.corner[here], rows=1)
            some.texture, some.descent = patches.texture[:, here], patches.descent[:, :, here]
            best = motion[:, here]
            least = inverse_search.error(some.difference(best))
            candidates = [patches.centres(initial)[:, here]] if initial is not None else []
            candidates.append(motion[:, torch.where(along.flatten()[here] > 0, here - by, here)])
            candidates.append(motion[:, torch.where(down.flatten()[here] > 0, here - by * patches.columns, here)])
            for candidate in candidates:
                error = inverse_search.error(some.difference(candidate))
                best, least = torch.where(error < least, candidate, best), torch.minimum(error, least)
            motion[:, here] = inverse_search.descend(some, best, iterations // 2)
    return motion


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(72, 128), (77, 131)])
def test_in_opencv_order_it_is_opencv(preset, size, monkeypatch):
    first, second, _ = moving_texture(size)
    monkeypatch.setattr(module, "search", in_opencv_order)
    apart = (dis_flow(first, second, preset) - opencv_flow(first, second, preset)).norm(dim=1)
    assert apart.median() < 1e-3
    assert (apart > 0.02).float().mean() < 0.02


def test_in_opencv_order_with_an_initial_flow(monkeypatch):
    first, second, flow = moving_texture((72, 128), seed=3)
    initial = flow + 0.3
    monkeypatch.setattr(module, "search", in_opencv_order)
    pair = [(luma[0, 0] * 255).round().byte().numpy() for luma in (first, second)]
    theirs = as_flow(create_dis("fine").calc(*pair, initial[0].permute(1, 2, 0).contiguous().numpy()))
    assert (dis_flow(first, second, "fine", initial) - theirs).norm(dim=1).median() < 1e-3


def test_refinement_is_opencvs():
    first, second, flow = moving_texture((45, 62))
    start = flow + 0.5 * torch.randn(flow.shape, generator=torch.Generator().manual_seed(0))
    first, second = ((luma * 255).round() for luma in (first, second))
    oracle = cv2().VariationalRefinement_create()
    oracle.setEpsilon(variational.EPSILON2**0.5)
    pair = [luma[0, 0].byte().numpy() for luma in (first, second)]
    theirs = as_flow(oracle.calc(*pair, start[0].permute(1, 2, 0).contiguous().numpy()))
    assert (theirs - start).abs().mean() > 0.1
    assert (variational.refine(first, second, start) - theirs).abs().max() < 1e-3


@pytest.mark.parametrize("size", [(40, 50), (41, 53), (136, 100)])
@pytest.mark.parametrize("finest", [0, 1, 2])
def test_pyramid_is_opencvs(size, finest):
    frame = moving_texture(size)[1].mul(255).round()
    scales, oracle = module.pyramid(frame, finest, 2), frame[0, 0].byte().numpy()
    for k, scale in enumerate(scales):
        factor = 2**finest if k == 0 else 2
        to = tuple(side // factor for side in oracle.shape)
        oracle = cv2().resize(oracle, to[::-1], interpolation=cv2().INTER_AREA)
        apart = (scale[0, 0] - torch.from_numpy(oracle)).abs()
        assert apart.max() <= 1 and apart.mean() < 0.02  # halves that rounding errors decide


@pytest.mark.parametrize(("preset", "most"), [("ultrafast", 0.25), ("fast", 0.06), ("medium", 0.03), ("fine", 0.03)])
def test_agrees_on_moving_texture(preset, most):
    figures = compare(*moving_texture((96, 160))[:2], preset, moving_texture((96, 160))[2])
    assert figures["median"] < most
    assert figures["psnr"] > figures["psnr_opencv"] - 0.1
    assert figures["epe"] < 1.05 * figures["epe_opencv"]


def test_ends_at_single_pixels_on_frames_too_small_for_the_preset():
    figures = compare(*moving_texture((48, 64))[:2], "fast")
    assert figures["median"] < 0.03 and figures["psnr"] > figures["psnr_opencv"] - 0.1


@pytest.mark.parametrize(("preset", "most"), [("ultrafast", 0.1), ("fast", 0.05), ("medium", 0.02), ("fine", 0.02)])
def test_agrees_on_real_frames(preset, most, sample):
    figures = compare(*sample, preset)
    assert figures["median"] < most and figures["large"] < 0.05
    assert figures["psnr"] > figures["psnr_opencv"] - 0.1


def test_initial_flow_shows_motion_that_is_out_of_reach():
    texture = moving_texture((64, 256))[1]
    first, second = texture[..., :96], texture[..., 70:166]  # what was at x + 70 is at x
    initial = torch.zeros(1, 2, 64, 96)
    initial[:, 0] = -70
    error = (dis_flow(first, second, "fine", initial) - initial).norm(dim=1)[..., 74:]
    assert error.median() < 0.05
    assert (dis_flow(first, second, "fine") - initial).norm(dim=1)[..., 74:].median() > 5


@pytest.mark.parametrize("size", [(1280, 1280), (8, 4096)])
def test_grids_are_no_longer_than_cudnn_takes(size, monkeypatch):
    """Its sampler refuses more than 65535 rows or columns."""
    longest = []

    def seen(image, grid):
        longest.append(max(grid.shape))
        return grid[..., 0]

    monkeypatch.setattr(inverse_search, "sample", seen)
    frame = torch.zeros(1, 1, *size)
    patches = inverse_search.Patches(frame, frame, 4)
    found = patches.difference(torch.zeros(1, patches.rows * patches.columns, 2))
    assert found.shape == patches.texture.shape and max(longest) < 1 << 16


def test_batch_equals_single_pairs():
    pairs = [moving_texture((50, 70), seed)[:2] for seed in range(3)]
    first, second = (torch.cat(frames) for frames in zip(*pairs, strict=True))
    together = dis_flow(first, second, "medium")
    alone = torch.cat([dis_flow(*pair, "medium") for pair in pairs])
    assert (together - alone).abs().max() < 1e-3


def test_repeats_to_the_bit_and_keeps_no_gradient():
    first, second, _ = moving_texture((40, 56))
    flow = dis_flow(first.requires_grad_(), second)
    assert torch.equal(flow, dis_flow(first, second)) and not flow.requires_grad and flow.dtype == torch.float32


def test_half_precision_frames_are_taken():
    first, second, flow = moving_texture((40, 56))
    assert (dis_flow(first.half(), second.half()) - flow).norm(dim=1).median() < 0.2


@pytest.mark.parametrize("preset", ["ultrafast", "fine"])
def test_any_size(preset):
    sides = [1, 7, 8, 9, 15, 16, 33, 64, 80]
    for height, width in [(a, b) for k, a in enumerate(sides) for b in sides[k % 3 :: 3]] + STRIPS:
        frames = torch.rand(2, 1, 1, height, width, generator=torch.Generator().manual_seed(0))
        flow = dis_flow(*F.avg_pool2d(frames.flatten(0, 1), 3, 1, 1)[:, None], preset)
        assert flow.shape == (1, 2, height, width) and flow.isfinite().all(), (height, width)


@pytest.mark.parametrize("size", CRASHES + STRIPS)
def test_flat_frames_do_not_move(size):
    for first, second in ((0.0, 0.0), (0.5, 0.5), (0.25, 1.0)):
        flow = dis_flow(torch.full((1, 1, *size), first), torch.full((1, 1, *size), second), "medium")
        assert flow.abs().max() < 1e-3


def test_beyond_the_frame_a_texture_still_moves_as_it_does():
    texture = moving_texture((60, 90), seed=5)[1]
    flow = dis_flow(texture[..., :80], texture[..., 3:83])
    assert (flow - torch.tensor([-3.0, 0.0]).view(1, 2, 1, 1)).norm(dim=1)[..., 8:].median() < 0.02


class NoWaiting(TorchDispatchMode):
    """Raises for all that waits for a device, or would on one: the last two are tensors made from Python numbers, copied."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "lift_fresh", "scalar_tensor")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in self.WAITING, name
        assert "device" not in (kwargs or {}) or name != "_to_copy" or kwargs["device"].type == "cpu", name
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_waits_for_the_device(preset):
    first, second, flow = moving_texture((40, 56))
    with NoWaiting():
        dis_flow(first, second, preset, flow)
    with pytest.raises(AssertionError), NoWaiting():
        first.sum().item()


def test_on_the_meta_device_it_needs_no_values_and_stays_on_its_device(monkeypatch):
    monkeypatch.setattr(inverse_search, "ROUNDS", 1)  # that device is slow
    first, second, flow = (x.to("meta").repeat(2, 1, 1, 1) for x in moving_texture((17, 48)))
    brief = DISConfig(finest=0, stride=4, iterations=2, refinement=variational.RefinementConfig(outer=1, inner=1))
    assert dis_flow(first, second, brief, flow).shape == (2, 2, 17, 48)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"first": torch.zeros(1, 3, 20, 20)}, "give luma as"),
        ({"first": torch.zeros(20, 20)}, "give luma as"),
        ({"first": torch.zeros(1, 1, 0, 20)}, "at least one pixel"),
        ({"second": torch.zeros(1, 1, 20, 21)}, "give them alike"),
        ({"second": torch.zeros(1, 1, 20, 20, dtype=torch.uint8)}, r"give floats in \[0,1\]"),
        ({"preset": "slow"}, "use one of ultrafast, fast, medium, fine"),
        ({"initial": torch.zeros(1, 2, 20, 10)}, "in pixels of the frames"),
    ],
)
def test_says_what_to_change(change, remedy):
    given = {"first": torch.zeros(1, 1, 20, 20), "second": torch.zeros(1, 1, 20, 20), "preset": "fine"} | change
    with pytest.raises(ValueError, match=remedy):
        dis_flow(**given)


@pytest.mark.parametrize("wrong", [{"finest": -1}, {"stride": 0}, {"stride": 9}, {"iterations": 1}])
def test_parameters_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="iterations 2 or more"):
        DISConfig(**({"finest": 0, "stride": 4, "iterations": 12} | wrong))
