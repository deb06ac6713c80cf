"""Reconstruct HDR inside the real engine: the result of `hdrweave.reconstruct`, and a stop before the long work."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = """
from hdrweave.nodes import classical, compat, reconstruct
from hdrweave.stages.reconstruct import reconstruct as by_function
from moving_texture import captured, radiance, sequence

torch.set_num_threads(1)
folder_paths.set_temp_directory(str(folder / "temp"))
codes = captured(radiance(6, (48, 64), 1.0), [1.0, 8.0] * 3)
clip, wrong = (sequence(codes, exposures, period=2) for exposures in ([1.0, 8.0] * 3, [8.0, 1.0] * 3))
node, normalization = reconstruct.ReconstructHDR.execute, classical.ExposureNormalization.execute

def told(run, *given, **named):
    try:
        run(*given, **named)
    except ValueError as error:
        return str(error)

class Newer:
    def __init__(self, name, advanced=None):
        self.advanced = advanced


class Older:
    def __init__(self, name):
        self.advanced = None


with torch.inference_mode():
    fast = by_function(codes, [1, 8], "classical")
    shown = node(clip, "fast")
    print(json.dumps({
        "fast": torch.equal(shown[0], fast),
        "words": "6 frames" in shown.ui["text"][0] and "images" not in shown.ui,
        "by name": torch.equal(node(clip, "quality", system="classical")[0], fast),
        "balanced": torch.allclose(node(clip, "balanced")[0], by_function(codes, [1, 8], "f2hdr_refined"), atol=1e-4),
        "advanced where it is known": compat.known(Newer, "x", advanced=True).advanced is True
        and compat.known(Older, "x", advanced=True).advanced is None,
        "stops": told(node, wrong, "fast"),
        "goes on": told(node, wrong, "fast", wrong_pattern="go on"),
        "normalization stops": told(normalization, wrong, wrong_pattern="stop"),
        "old normalization": told(normalization, wrong),
    }))
"""


@pytest.mark.engine
def test_the_node_is_the_function_and_a_wrong_pattern_stops_it(tmp_path):
    found = run_in_engine(IN_ENGINE, tmp_path)
    assert "shifted by 1 frame" in found.pop("stops") and "shifted by 1 frame" in found.pop("normalization stops")
    assert found.pop("goes on") is None and found.pop("old normalization") is None
    assert all(found.values()), found
