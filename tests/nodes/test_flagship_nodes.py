"""The nodes of FGMA, LRHDR and LoCAtion inside the real engine: weights, memory, the results of the stages."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = """
from hdrweave.nodes import candidates, compat, dealthdr, location, lrhdr
from hdrweave.stages.candidates.accr import accr_mapping
from hdrweave.stages.candidates.combine import combine
from hdrweave.stages.candidates.fgma import fgma_alignment
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.candidates.interpolate import interpolate_exposure
from hdrweave.stages.runtime.networks import load_network
from hdrweave.stages.fusion.sequence_refinement import sequence_refinement
from hdrweave.stages.fusion.sparse_fusion import sparse_fusion, unaligned
import untrained
from moving_texture import captured, radiance, sequence

torch.set_num_threads(1)
untrained.write(folder / "weights")
folder_paths.set_temp_directory(str(folder / "temp"))
folder_paths.models_dir = str(folder / "models")
folder_paths.add_model_folder_path("hdrweave", str(folder / "weights"))
compat.register_weights_folder()
exposures = [1.0, 8.0] * 3
clip = sequence(captured(radiance(6, (48, 64), 3.0), exposures), exposures, period=2)
flow = estimate_flow(clip)
loaded, load = [], comfy.model_management.load_models_gpu
comfy.model_management.load_models_gpu = lambda models, **kw: (loaded.append(kw), load(models, **kw))[1]
file = "{}.safetensors".format
network = lambda name: load_network(name, file(name), [folder / "weights"])

def shows_a_picture(found):
    return (folder / "temp" / found.ui["images"][0]["filename"]).is_file()

def same(ours, theirs):
    assert ours.names == theirs.names, (ours.names, theirs.names)
    return all(torch.equal(a.radiance[:], b.radiance[:]) and torch.equal(a.validity[:], b.validity[:])
               for a, b in zip(ours, theirs, strict=True))

equal, aligner = {}, network("fgma")
with torch.inference_mode():
    ways = {"by s": (15.0, None), "everywhere": (math.inf, None), "share of pixels": (15.0, 0.2)}
    for attention, (s, share) in ways.items():
        found = dealthdr.FGMAAlignment.execute(clip, flow, attention, 15.0, 0.2, file("fgma"))
        expected = fgma_alignment(clip, flow, aligner, s, share)
        equal[attention] = same(found[0], expected.candidates) and torch.equal(found[1], expected.mask)
        equal[attention] &= found.ui["text"] == (found[2],) and shows_a_picture(found)
        s_told = found[2]
    aligned = expected.candidates
    between = lrhdr.InterpolateExposure.execute(clip, flow, file("interpolate"))[0]
    equal["interpolate"] = same(between, interpolate_exposure(clip, flow, network("interpolate")))
    mapped = lrhdr.ACCRMapping.execute(clip, aligned, file("accr"))[0]
    equal["accr"] = same(mapped, accr_mapping(clip, aligned, network("accr")))
    kept = lrhdr.ACCRMapping.execute(clip, aligned, file("accr"), True)[0]
    equal["accr, exposures kept"] = same(kept, mapped) and not any(c.exposures is None for c in kept)
    plain = candidates.UnalignedNeighbours.execute(clip)[0]
    equal["unaligned"] = same(plain, unaligned(clip))
    picture = torch.rand(6, 48, 64, 4).half()
    given = dict(candidates_1=plain, candidates_3=picture, candidates_8=mapped, candidates_2=None)
    joined = candidates.CombineCandidates.execute(**given, names=" mine, ")[0]
    equal["combine"] = same(joined, combine([plain, picture[..., :3], mapped], ["mine"]))
    hdr, votes = (found := lrhdr.SparseFusion.execute(joined, 1.5, clip, file("sparse_fusion"))).result
    equal["vote"] = torch.equal(hdr, sparse_fusion(joined, network("sparse_fusion"), 1.5, clip)[0])
    equal["vote"] &= votes.shape[0] == 6 and votes.shape[1] > 48 and shows_a_picture(found)
    alone = lrhdr.SparseFusion.execute(joined, 2.0, weights=file("sparse_fusion"))[0]
    equal["vote without clip"] = torch.equal(alone, sparse_fusion(joined, network("sparse_fusion"), 2.0)[0])
    refined = location.SequenceRefinement.execute(hdr.half(), 4, file("sequence_refinement"))[0]
    equal["refine"] = torch.equal(refined, sequence_refinement(hdr.half(), network("sequence_refinement"), 4))
    told = location.SequenceRefinement.execute(hdr.half(), 4, file("sequence_refinement"), clip)[0]
    equal["refine with clip"] = torch.equal(told, sequence_refinement(hdr.half(), network("sequence_refinement"), 4, clip))
told = []
for wrong in (
    lambda: lrhdr.ACCRMapping.execute(clip, aligned, file("fgma")),
    lambda: candidates.CombineCandidates.execute(torch.rand(6, 48, 64)),
    lambda: candidates.CombineCandidates.execute(plain, candidates_2=torch.rand(6, 24, 64, 3)),
):
    try:
        wrong()
    except ValueError as error:
        told.append(str(error))
print(json.dumps(dict(equal=equal, s=s_told, names=joined.names, told=told, room=[kw["memory_required"] for kw in loaded])))
"""


@pytest.mark.engine
def test_the_nodes_do_what_the_stages_do_with_the_users_weights(tmp_path):
    found = run_in_engine(IN_ENGINE, tmp_path)
    assert all(found["equal"].values()), found["equal"]
    assert found["s"].startswith("frames 0 to 3: s = ") and "frames 4 to 5: s = " in found["s"]
    mapped = ["ACCR reference", "ACCR FGMA -1", "ACCR FGMA +1"]
    assert found["names"] == ["frame -1", "frame +1", "mine", *mapped]
    pixels = 48 * 64
    assert found["room"] == [200 * pixels * n for n in (3, 3, 3, 3, 3, 3, 7, 6, 6, 6)]
    assert "holds the network 'fgma', expected 'accr'" in found["told"][0]
    assert found["told"][1].startswith("candidates_1 has the shape (6, 48, 64)")
    assert "'image 1' has 6 frames of 64x24" in found["told"][2]
