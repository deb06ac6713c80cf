"""How often the flagship reads and decodes the frames and flow of a clip, and estimates motion: a bound on each, by frame."""

import hashlib
import sys
from collections import Counter

import pytest
import torch
from hdrweave import reconstruct
from hdrweave.hdr.cv import cv2
from hdrweave.hdr.exposure import to_radiance
from hdrweave.hdr.noise_level import NoiseLevels
from hdrweave.hdr.response import ResponseCurve
from hdrweave.hdr.sequence import FlowField
from hdrweave.models import registry
from hdrweave.stages import reconstruct as stage
from moving_texture import captured, radiance

COUNT, SIZE = 7, (64, 96)
DECODES = {2: 3, 3: 4}  # a frame, at most: one more for each exposure more that it is searched for motion in
FLOW_READS = 6  # a frame, at most
REPEATS = {2: 0, 3: 2}  # pairs matched twice, in the whole clip


def digest(*arrays) -> str:
    """Of the values of contiguous arrays, and their shapes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(str(array.shape).encode() + array.tobytes())
    return found.hexdigest()


class Frames:
    """Counts how often each captured frame is decoded, wherever it is part of what is decoded.

    Captured are the frames as they were given, and as they are after their black level was matched. What decodes a frame
    to match the black level is not counted, nor are pictures that are made from frames: warped, aligned, reduced.
    """

    def __init__(self, given: torch.Tensor):
        self.numbers = {digest(frame.numpy()): t for t, frame in enumerate(given)}
        self.decodes: Counter[int] = Counter()
        self.paused = False

    def know(self, sequence) -> None:
        self.numbers |= {digest(sequence.frames[t].numpy()): t for t in range(len(sequence))}

    def see(self, codes) -> None:
        """codes: (…,H,W,3) or (…,3,H,W)."""
        if self.paused or not isinstance(codes, torch.Tensor) or codes.ndim < 3:
            return
        if codes.shape[-1] != 3:
            codes = codes.movedim(-3, -1)
        for frame in codes.detach().cpu().float().reshape(-1, *codes.shape[-3:]):
            t = self.numbers.get(digest(frame.contiguous().numpy()))
            if t is not None:
                self.decodes[t] += 1


def count_decodes(monkeypatch, frames: Frames) -> None:
    """Every way from code values to radiance: `to_radiance`, wherever it was imported, and a response's `decode`."""

    def counting(codes, exposure):
        frames.see(codes)
        return to_radiance(codes, exposure)

    for name, module in list(sys.modules.items()):
        if name.startswith("hdrweave.") and getattr(module, "to_radiance", None) is to_radiance:
            monkeypatch.setattr(module, "to_radiance", counting)
    init = ResponseCurve.__init__

    def made(self, name, decode, encode, *rest):
        init(self, name, lambda codes: frames.see(codes) or decode(codes), encode, *rest)

    monkeypatch.setattr(ResponseCurve, "__init__", made)
    match = stage.match_black_level

    def matching(sequence, *rest):
        frames.paused = True
        matched = match(sequence, *rest)
        frames.know(matched)
        frames.paused = False
        return matched

    monkeypatch.setattr(stage, "match_black_level", matching)


def count_flow_reads(monkeypatch) -> Counter:
    """Reads of a frame's flow and confidence to one neighbour, of any flow field: by field, offset and frame."""
    reads, read = Counter(), FlowField.read

    def counting(self, offset, indices, *device):
        indices = list(indices)
        reads.update((id(self), offset, t) for t in indices)
        return read(self, offset, indices, *device)

    monkeypatch.setattr(FlowField, "read", counting)
    return reads


def count_searches(monkeypatch) -> Counter:
    """Runs of OpenCV's DIS, by the pictures that it is given."""
    searches, create = Counter(), cv2().DISOpticalFlow_create

    class Counted:
        def __init__(self, *preset):
            self.dis = create(*preset)

        def calc(self, reference, neighbour, flow):
            searches[digest(reference, neighbour)] += 1
            return self.dis.calc(reference, neighbour, flow)

        def __getattr__(self, name):
            return getattr(self.dis, name)

    monkeypatch.setattr(cv2(), "DISOpticalFlow_create", Counted)
    return searches


@pytest.mark.parametrize("period", [2, 3])
def test_the_flagship_reads_and_estimates_little(period, monkeypatch):
    if "sparse_fusion" not in registry.names(architecture="sparse_fusion"):
        pytest.skip("there are no packaged weights yet")
    cycle = {2: (1.0, 8.0), 3: (1.0, 4.0, 16.0)}[period]
    exposures = [cycle[t % period] for t in range(COUNT)]
    clip = captured(radiance(COUNT, SIZE, 2.0), exposures)
    levels = NoiseLevels(torch.tensor(cycle), torch.tensor([[1e-3, 1e-4]] * period), 0.0)
    monkeypatch.setattr(
        "hdrweave.stages.clip.noise.measure_noise", lambda *clip: levels
    )  # of a few frames, once per clip
    frames, reads, searches = Frames(clip), count_flow_reads(monkeypatch), count_searches(monkeypatch)
    count_decodes(monkeypatch, frames)
    hdr = reconstruct(clip, exposures, "flagship", device="cpu")
    assert hdr.shape == clip.shape and hdr.isfinite().all()

    assert set(frames.decodes) == set(range(COUNT)) and max(frames.decodes.values()) <= DECODES[period]
    by_frame = Counter()
    for (_, _, t), times in reads.items():
        by_frame[t] += times
    assert set(by_frame) == set(range(COUNT)) and max(by_frame.values()) <= FLOW_READS
    assert len(searches) >= 4 * (COUNT - 1) and sum(searches.values()) - len(searches) <= REPEATS[period]
