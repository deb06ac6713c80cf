"""A network in the flow stage: the pairs that it is given, and the selection of its proposals."""

import pytest
import torch
from hdrweave.models.flow.correlation import shifts
from hdrweave.stages.flow import proposals as flow_module
from hdrweave.stages.flow.estimate import estimate_flow
from moving_texture import alternating_clip, captured, radiance, sequence

RADIUS = 4


def alternating(count: int, cycle, size=(64, 96), speed=2.0):
    return alternating_clip(cycle, count, size, speed)


class Certain(torch.nn.Module):
    """Sure of one motion (x, y), in cells; remembers what it was given. Its features are the frame itself."""

    def __init__(self, motion):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.encoded, self.compared = [], []
        self.place = [tuple(s) for s in shifts(RADIUS).tolist()].index(motion)

    def encode(self, frames, own, other):
        self.encoded.append((frames, own.item(), other.item()))
        return frames

    def compare(self, reference, first, second, steps):
        self.compared.append((reference, first, second, steps))
        logits = torch.zeros(1, (2 * RADIUS + 1) ** 2, *(-(-s // 8) for s in reference.shape[-2:]))
        logits[:, self.place] = 100
        return logits


@pytest.mark.parametrize("cycle", [(1, 8), (1, 4, 16)])
def test_a_proposal_that_explains_nothing_changes_nothing(cycle):
    clip = alternating(6, cycle)
    plain, proposed = estimate_flow(clip), estimate_flow(clip, network=Certain((-3, 3)))
    for offset in plain.offsets:
        change = (plain.flow[offset].float() - proposed.flow[offset].float()).norm(dim=1)
        assert (change > 0.1).float().mean() < 0.02
    still = estimate_flow(clip, network=Certain((0, 0)))  # and one that is no large displacement is not refined
    assert all(torch.equal(plain.flow[o], still.flow[o]) for o in plain.offsets)


def test_it_is_asked_about_the_neighbours_that_enclose_a_frame():
    clip, network = alternating(7, (1, 4, 16)), Certain((0, 0))
    estimate_flow(clip, network=network)
    asked = iter(network.compared)
    for t in range(7):
        for offset in range(1, clip.period):
            others = [clip.neighbour(t, o) for o in (offset, offset - clip.period)]
            *frames, steps = next(asked)
            for k, frame in zip((t, *others), frames, strict=True):
                assert torch.equal(frame[0].movedim(0, -1), clip.frames[k])
            assert steps == tuple(n - t for n in others)
    assert next(asked, None) is None
    assert len(network.encoded) == 7 * 2  # each frame for either of the two other exposures
    assert all(own != other for _, own, other in network.encoded)


def small_and_fast(size=(96, 160), speed=24):
    """A square of 24 pixels that crosses a still texture, exposures 1 and 4; and where it is in frame 2."""
    scene = radiance(1, size, speed=0.0, stops=3)[0]
    patch = radiance(1, (24, 24), speed=0.0, stops=3, seed=5)[0]
    frames = scene.expand(5, *scene.shape).clone()
    for t in range(5):
        frames[t, 36:60, 20 + speed * t : 44 + speed * t] = patch
    exposures = [1.0, 4.0, 1.0, 4.0, 1.0]
    inside = torch.zeros(size, dtype=torch.bool)
    inside[42:54, 26 + 2 * speed : 38 + 2 * speed] = True
    return sequence(captured(frames, exposures), exposures, period=2), inside


def test_what_is_small_and_fast_is_found_from_a_proposal():
    clip, inside = small_and_fast()
    exact = torch.tensor([24.0, 0.0]).view(2, 1)
    plain, proposed = estimate_flow(clip), estimate_flow(clip, network=Certain((3, 0)))

    def error(field, region):
        return float((field.read(1, [2])[0][0][:, region] - exact).norm(dim=0).median())

    assert error(plain, inside) > 8 and error(proposed, inside) < 0.5
    around = ~torch.nn.functional.max_pool2d(inside[None].float(), 61, 1, 30)[0].bool()
    assert float(proposed.read(1, [2])[0][0][:, around].norm(dim=0).median()) < 0.2  # what stands still stays
    assert float(proposed.read(1, [2])[1][0, 0][inside].median()) > 0.5


def test_proposals_are_refined_only_where_they_lower_the_cost(monkeypatch):
    boxes = []

    def recorded(*given, refine=flow_module._refine):
        boxes.append(given[-1])
        return refine(*given)

    monkeypatch.setattr(flow_module, "_refine", recorded)
    monkeypatch.setattr("hdrweave.stages.flow.pair_flow.FINE_SIDE", 1)  # boxes in pixels of the frame
    estimate_flow(alternating(5, (1, 4)), network=Certain((3, 3)))  # explains nothing better
    assert not boxes
    clip, inside = small_and_fast((96, 256))
    estimate_flow(clip, network=Certain((3, 0)))
    rows, columns = inside.any(1).nonzero(), inside.any(0).nonzero()
    assert boxes and any(
        r.start <= rows.min() and r.stop > rows.max() and c.start <= columns.min() and c.stop > columns.max()
        for r, c in boxes
    )
    assert min(c.stop - c.start for _, c in boxes) < 160


def test_a_box_holds_all_there_is_and_its_margin():
    there = torch.zeros(1, 1, 20, 30, dtype=torch.bool)
    assert flow_module.bounding_box(there, 4) is None
    there[..., 9, 2] = there[..., 11, 20] = True
    assert flow_module.bounding_box(there, 4) == (slice(5, 16), slice(0, 25))


def test_large_frames_are_searched_at_the_working_size(monkeypatch):
    monkeypatch.setattr("hdrweave.stages.flow.pair_flow.LONG_SIDE", 48)
    clip, network = alternating(3, (1, 8)), Certain((0, 0))
    estimate_flow(clip, network=network)
    assert network.encoded[0][0].shape[-2:] == (32, 48)
