"""F2HDR's nodes inside the real engine: a user's weights, ComfyUI's memory management, the results of the stages."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = """
from hdrweave.nodes import compat, f2hdr as nodes
from hdrweave.stages.systems import f2hdr as stages
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.runtime.networks import load_f2hdr
import small_f2hdr
from moving_texture import captured, radiance, sequence

torch.set_num_threads(1)
small_f2hdr.register("mine", small_f2hdr.network(), folder / "weights" / "take2")
(folder / "weights" / "notes.txt").write_text("not weights")
folder_paths.set_temp_directory(str(folder / "temp"))
folder_paths.models_dir = str(folder / "models")
folder_paths.add_model_folder_path("hdrweave", str(folder / "weights"))
compat.register_weights_folder()
compat.register_weights_folder()
exposures = [1.0, 8.0] * 2
clip = sequence(captured(radiance(4, (32, 48), 3.0), exposures), exposures, period=2)
flow = estimate_flow(clip)
loaded, load = [], comfy.model_management.load_models_gpu
comfy.model_management.load_models_gpu = lambda models, **kw: (loaded.append(kw), load(models, **kw))[1]
with torch.inference_mode():
    name = "take2/mine.safetensors"
    coarse = nodes.CoarseFusion.execute(clip, flow, name)[0]
    shown = nodes.PhysicalMotionMask.execute(flow, name)
    mask, picture = shown[0], shown.ui["images"][0]["filename"]
    refined = nodes.MotionGuidedRefinement.execute(clip, flow, mask.half(), coarse.half(), name)[0]
network = load_f2hdr(name, [folder / "weights"])
expected = stages.coarse_fusion(clip, flow, network)
expected_mask = stages.motion_mask(flow, network)
told = []
try:
    nodes.CoarseFusion.execute(clip, flow, "other.safetensors")
except OSError as error:
    told.append(str(error))
schemas = [n.GET_SCHEMA() for n in (nodes.CoarseFusion, nodes.PhysicalMotionMask, nodes.MotionGuidedRefinement)]
print(json.dumps(dict(
    equal=[torch.equal(coarse, expected), torch.equal(mask, expected_mask)],
    refined=float((refined - stages.refine(clip, flow, mask, coarse, network)).abs().max()),
    picture=(folder / "temp" / picture).is_file(),
    folders=compat.weights_folders(),
    options=[next(i.options for i in s.inputs if i.id == "weights") for s in schemas],
    room=[kw["memory_required"] for kw in loaded],
    told=told,
)))
"""


@pytest.mark.engine
def test_the_nodes_do_what_the_stages_do_with_the_users_weights(tmp_path):
    found = run_in_engine(IN_ENGINE, tmp_path)
    assert found["equal"] == [True, True] and found["refined"] < 0.01 and found["picture"]
    assert found["folders"] == [str(tmp_path / "weights"), str(tmp_path / "models" / "hdrweave")]
    assert found["options"] == [["packaged", "take2/mine.safetensors"]] * 3
    assert len(found["room"]) == 3 and min(found["room"]) > 32 * 48 * 3 * 100
    assert "no weights called 'other.safetensors'" in found["told"][0]
