"""The nodes of DeAltHDR, DeepHDRVideo, LoCAtion and of adaptation inside the real engine: weights, memory, stages."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = """
import dataclasses
from hdrweave.models import registry
from hdrweave.nodes import adapt, compat, dealthdr, deephdrvideo, location, lrhdr
from hdrweave.stages.adapt import adapt as adaptation
from hdrweave.stages.systems.backbone import backbone_and_stills, from_exposures
from hdrweave.stages.candidates.warp import warp_neighbours
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.fusion.collaborative_fusion import collaborative_fusion
from hdrweave.stages.runtime.networks import OwnNetwork, load_network
from hdrweave.stages.fusion.sparse_fusion import sparse_fusion
import hdrweave.stages.systems.dealthdr, hdrweave.stages.systems.deephdrvideo as deep
import untrained
from moving_texture import captured, radiance, sequence

torch.set_num_threads(1)
untrained.write(folder / "weights")
registry.PACKAGED = folder / "weights"  # what is packaged by now would differ from run to run
def full_disk(*_):
    raise OSError("no space left")


def as_if_learned(*given, **named):  # two steps seldom are better
    network, report = learn(*given, **named)
    return adaptation.Adapted(network, dataclasses.replace(report, best=2))


learn, adapt.adapt = adapt.adapt, as_if_learned
adapt.AdaptSettings = lambda seconds: Settings(seconds, steps=2, crop=32)
Settings = type(learn.__defaults__[0])
folder_paths.set_temp_directory(str(folder / "temp"))
folder_paths.models_dir = str(folder / "models")
compat.register_weights_folder()
exposures = [1.0, 8.0] * 3
clip = sequence(captured(radiance(6, (48, 64), 3.0), exposures), exposures, period=2)
flow = estimate_flow(clip)
loaded, load = [], comfy.model_management.load_models_gpu
comfy.model_management.load_models_gpu = lambda models, **kw: (loaded.append(kw), load(models, **kw))[1]

def shows_a_picture(found):
    return (folder / "temp" / found.ui["images"][0]["filename"]).is_file()

def told(run, *given, **named):
    try:
        run(*given, **named)
    except (ValueError, OSError) as error:
        return str(error)

equal = {}
with torch.inference_mode():
    whole, stage = dealthdr.DeAltHDRReconstruction.execute, hdrweave.stages.systems.dealthdr.dealthdr
    ways = {"by s": (15.0, None), "everywhere": (math.inf, None), "share of pixels": (15.0, 0.2)}
    for attention, asked in ways.items():
        hdr = whole(clip, flow, attention, 15.0, 0.2)[0]
        equal[attention] = torch.equal(hdr, stage(clip, flow, load_network("dealthdr"), *asked))

    network = load_network("deephdrvideo")
    coarse = deephdrvideo.CoarseReconstruction.execute(clip, flow)[0]
    equal["coarse"] = torch.equal(coarse, deep.coarse_reconstruction(clip, flow, network))
    refined = deephdrvideo.DeformableRefinement.execute(clip, coarse.half())[0]
    equal["refined"] = torch.equal(refined, deep.deformable_refinement(clip, coarse.half(), network))

    fuse, network = location.CollaborativeFusion.execute, load_network("collaborative_fusion")
    anchored = from_exposures(clip, load_network("interpolate"))
    found = fuse(5, 0, exposures=clip)
    equal["anchors of a clip"] = all(map(torch.equal, found.result, collaborative_fusion(anchored, network, 5, 3)))
    equal["its picture"] = shows_a_picture(found)
    backbone, still = torch.rand(6, 48, 64, 3), torch.rand(1, 48, 64, 3)
    filmed = backbone_and_stills(backbone, 1.0, [(still, 0.25), (still / 2, 4.0)])
    found = fuse(4, 0, backbone=backbone, low=still, high=still / 2)
    equal["stills"] = all(map(torch.equal, found.result, collaborative_fusion(filmed, network, 4, 1)))
    room = [kw["memory_required"] for kw in loaded]

    candidates, models, reports = warp_neighbours(clip, flow), {}, []
    for system, architecture in adapt.SYSTEMS.items():
        found = adapt.AdaptToFootage.execute(clip, flow, system, 1.0, save_as=" " + architecture + " of mine ")
        models[architecture], picture, words = found.result
        equal[system] = shows_a_picture(found) and found.ui["text"] == (words,) and picture.shape[0] == 1
        reports.append(words)
        stored = load_network(architecture, architecture + " of mine_v001.safetensors", compat.weights_folders())
        state = models[architecture].network.state_dict()
        equal[system] &= all(torch.equal(state[k], v) for k, v in stored.state_dict().items())
        equal[system] &= models[architecture].architecture == architecture
    adapt.save_adapted = full_disk
    model, _, words = adapt.AdaptToFootage.execute(clip, flow, "DeAltHDR", 1.0, save_as="lost").result
    equal["full disk"] = model.architecture == "dealthdr" and "NOT saved (no space left)" in words
    changed = models["dealthdr"].network
    with torch.no_grad():
        [p.add_(0.02 * torch.randn_like(p)) for p in changed.parameters()]  # what starts as a merge must show
    hdr = whole(clip, flow, "by s", 0.0, 0.2, model=models["dealthdr"])[0]
    equal["adapted DeAltHDR"] = torch.equal(hdr, stage(clip, flow, changed, 0.0))
    equal["adapted DeAltHDR"] &= not torch.equal(hdr, stage(clip, flow, load_network("dealthdr"), 0.0))
    vote = lrhdr.SparseFusion.execute(candidates, 1.75, clip, model=models["sparse_fusion"])[0]
    equal["adapted vote"] = torch.equal(vote, sparse_fusion(candidates, models["sparse_fusion"].network, sequence=clip)[0])
    wrong = [
        told(fuse, 5, 0), told(fuse, 5, 0, exposures=clip, backbone=backbone), told(fuse, 5, 0, exposures=clip, low=still),
        told(fuse, 5, 0, backbone=backbone), told(whole, clip, flow, "by s", 0.0, 0.2, model=models["sparse_fusion"]),
        told(adapt.AdaptToFootage.execute, clip, flow, "DeAltHDR", 1.0, save_as="../mine"),
        told(deephdrvideo.DeformableRefinement.execute, clip, coarse[:4]),
    ]
files = sorted(p.name for p in (folder / "models" / "hdrweave").iterdir())
print(json.dumps(dict(equal=equal, room=room, reports=reports, wrong=wrong, files=files)))
"""


@pytest.mark.engine
def test_the_nodes_do_what_the_stages_do(tmp_path):
    found = run_in_engine(IN_ENGINE, tmp_path)
    assert all(found["equal"].values()), found["equal"]
    pixels = 48 * 64
    expected = [400 * 5, 400 * 5, 400 * 5, 450 * 3, 450 * 3, 200 * 3, 210 * (5 + 3), 210 * (4 + 2)]
    assert found["room"] == [pixels * n for n in expected]
    for words, name in zip(found["reports"], ("dealthdr", "sparse_fusion"), strict=True):
        assert words.startswith("held-out loss") and words.endswith(f"{name} of mine_v001.safetensors")
    assert found["files"] == [
        "dealthdr of mine_v001.safetensors",
        "manifest.json",
        "sparse_fusion of mine_v001.safetensors",
    ]
    sentences = (
        "of exposures and backbone, none are connected",
        "of exposures and backbone, both are connected",
        "low or high is connected, but no backbone",
        "no anchors are given",
        "the model is 'sparse_fusion', this node needs 'dealthdr'",
        "the name '../mine' cannot be used for weights",
        "hdr has the shape (4, 48, 64, 3), this clip needs (6, 48, 64, 3)",
    )
    for words, expected in zip(found["wrong"], sentences, strict=True):
        assert words.startswith(expected) and "\n" not in words
