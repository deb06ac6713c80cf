"""The workflow and `hdrweave.reconstruct` give the same frames."""

import json

import comfy_engine
import numpy as np
import pytest
from hdrweave import reconstruct
from hdrweave.hdr.io.exr import read_exr
from hdrweave.stages.clip.load import read_clip
from render import Progress, render

pytestmark = pytest.mark.engine
COUNT = 6


def same(
    server,
    clip,
    folder: str,
    name: str = "stages_classical",
    method: str = "classical",
    rtol=1e-4,
    atol=1e-6,
    share=1.0,
) -> None:
    workflow = json.loads((comfy_engine.ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    settings = {
        "Load Alternating Exposures": {"path": clip, "pattern": "-3,0", "count": COUNT},
        "Save HDR Sequence": {"prefix": f"{folder}/hdr", "format": "exr float", "scale": "research"},
        "Save Video": {"filename_prefix": f"{folder}/tonemapped"},
        "Save Image": {"filename_prefix": f"{folder}/contact_sheet"},
    }
    lines = [f"{node}.{name}={value}" for node, inputs in settings.items() for name, value in inputs.items()]
    render(server.base, workflow, lines, server.output, Progress())
    files = sorted((server.output / folder).glob("hdr_v001/*.exr"))
    ours = reconstruct(read_clip(clip, count=COUNT).frames[:], exposures=[1, 8], method=method, device="cpu").numpy()
    assert len(files) == COUNT
    for file, frame in zip(files, ours, strict=True):
        assert np.isclose(read_exr(file)[0], frame, rtol=rtol, atol=atol).mean() >= share


def test_on_the_sample_clip(server):
    same(server, comfy_engine.ROOT / "workflows" / "assets" / "sample_alternating.mp4", "same_sample")


def test_on_the_sample_clip_by_f2hdr(server):
    clip = comfy_engine.ROOT / "workflows" / "assets" / "sample_alternating.mp4"
    # Between nodes flow is in half precision; a threshold makes more of that in a pixel or two.
    same(server, clip, "same_f2hdr", "paper_f2hdr", "f2hdr", 5e-3, 5e-4, 0.9999)


def test_on_a_real_clip(server, real_clips):
    same(server, real_clips / "alternating_2exp" / "clip_10.mp4", "same_real")
