"""Load Backbone and Anchors inside the real engine: the same sequence as by Collaborative Fusion's own inputs."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = """
from hdrweave.models import registry
from hdrweave.nodes import compat
from hdrweave.nodes.load_backbone import LoadBackboneAndAnchors, still_times
from hdrweave.nodes.location import CollaborativeFusion
import untrained
from moving_texture import captured, radiance, sequence

torch.set_num_threads(1)
untrained.write(folder / "weights", ("interpolate", "collaborative_fusion"))
registry.PACKAGED = folder / "weights"
folder_paths.set_temp_directory(str(folder / "temp"))
folder_paths.models_dir = str(folder / "models")
compat.register_weights_folder()
load, fuse = LoadBackboneAndAnchors.execute, CollaborativeFusion.execute
exposures = [1.0, 8.0] * 3
clip = sequence(captured(radiance(6, (48, 64), 3.0), exposures), exposures, period=2)
backbone, stills = torch.rand(6, 48, 64, 3), torch.rand(2, 48, 64, 3)

def told(run, *given, **named):
    try:
        run(*given, **named)
    except ValueError as error:
        return str(error)

with torch.inference_mode():
    equal = {}
    separate = dict(backbone=backbone, low=stills, high=stills[:1] / 2)
    for name, given in {"a clip": dict(exposures=clip), "stills": separate}.items():
        loaded = load(**given)
        equal[name] = all(map(torch.equal, fuse(5, 0, anchored=loaded[0]).result, fuse(5, 0, **given).result))
        summary = loaded[1]
        equal[name] &= loaded.ui["text"] == (summary,)
    timed, _ = load(backbone=backbone, low=stills, low_times="0, 4.5").result
    unused = load(backbone=backbone, low=stills, high_times="3")[1].splitlines()[-1]
    wrong = [
        told(fuse, 5, 0, anchored=timed, exposures=clip, low=stills),
        told(load, backbone=backbone, low=stills, low_times="1"),
        told(load, backbone=backbone, low=stills, low_times="1, two"),
        told(load),
        told(load, exposures=clip, low=stills),
    ]
times = [timed.anchors[0].times.tolist(), still_times("", 6, 2), still_times("1 2,5", 6, 3)]
print(json.dumps(dict(equal=equal, wrong=wrong, times=times, summary=summary, unused=unused)))
"""


@pytest.mark.engine
def test_an_anchored_sequence_is_what_the_separate_inputs_make(tmp_path):
    found = run_in_engine(IN_ENGINE, tmp_path)
    assert found["equal"] == {"a clip": True, "stills": True}
    assert found["times"] == [[0, 4.5], [1, 4], [1, 2, 5]]
    assert found["summary"].splitlines() == [
        "backbone: 6 frames, 64x48",
        "anchors at -2.00 EV: 2, at frames 1, 4",
        "anchors at +2.00 EV: 1, at frames 2.5",
    ]
    assert found["unused"] == "high_times is not used, as no high is connected"
    sentences = (
        "beside anchored, exposures, low are connected: unlink these",
        "1 times are written for 2 stills: write one for each",
        "the times '1, two' are no numbers",
        "of exposures and backbone, none are connected",
        "low or high is connected, but no backbone",
    )
    for words, expected in zip(found["wrong"], sentences, strict=True):
        assert words.startswith(expected) and "\n" not in words
