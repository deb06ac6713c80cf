"""Device memory inside the real engine: what is loaded and unloaded, and the room that is made before a method runs."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = """
import gc
from hdrweave.nodes.compat import register_weights_folder
from hdrweave.nodes.weights import chosen_network
from hdrweave.stages.runtime.networks import OwnNetwork, load_network
import untrained
from hdrweave.models import registry

folder_paths.models_dir = str(folder / "models")
register_weights_folder()
untrained.write(folder / "weights")
registry.PACKAGED = folder / "weights"
management = comfy.model_management
on_wire, found = OwnNetwork("dealthdr", load_network("dealthdr")), {}
for _ in range(2):
    with chosen_network("dealthdr", "packaged", (16, 16), 1, on_wire) as network:
        assert network is on_wire.network
entries = management.current_loaded_models
found["after two uses"] = [entry.is_dead() for entry in entries]
management.free_memory(1e18, management.get_torch_device())
found["after unloading"] = len(entries)
with chosen_network("dealthdr", "packaged", (16, 16), 1, on_wire):
    pass
del on_wire, network
gc.collect()
found["after the wire is gone"] = len(entries)
with chosen_network("dealthdr", "packaged", (16, 16), 1):
    pass
found["of a file"] = len(entries)
print(json.dumps(found))
"""


@pytest.mark.engine
def test_a_network_of_a_wire_can_be_unloaded(tmp_path):
    found = run_in_engine(IN_ENGINE, tmp_path)
    assert found == {"after two uses": [False], "after unloading": 0, "after the wire is gone": 0, "of a file": 0}


PRECISION = """
import asyncio
from hdrweave.stages.runtime import networks
extension = asyncio.run(module.comfy_entrypoint())
asyncio.run(extension.get_node_list())
torch.cuda.get_device_properties = lambda device: __import__("types").SimpleNamespace(name="RTX", major=8, minor=9)
comfy.model_management.cpu_state = comfy.model_management.CPUState.GPU
found = []
for single in (False, True):
    comfy.model_management.FORCE_FP32 = single
    found.append(str(networks.precision(torch.device("cuda"))))
print(json.dumps(found))
"""


@pytest.mark.engine
def test_comfyui_may_force_single_precision(tmp_path):
    assert run_in_engine(PRECISION, tmp_path) == ["torch.float16", "torch.float32"]


NO_VRAM = """
from hdrweave.nodes.compat import on_device
management, found = comfy.model_management, []
management.vram_state = management.VRAMState.NO_VRAM
management.get_torch_device = lambda: torch.device("meta")  # there is no GPU
management.get_free_memory = lambda device, torch_free_too=False: (1e12, 0) if torch_free_too else 1e12
with on_device(torch.nn.Conv2d(3, 4, 3), 0, kept=True) as network:
    found.append(str(network.weight.device))
    entries = len(management.current_loaded_models)
print(json.dumps([found, entries]))
"""


@pytest.mark.engine
def test_networks_are_on_the_gpu_with_novram_too(tmp_path):
    assert run_in_engine(NO_VRAM, tmp_path) == [["meta"], 1]


ROOM = """
from hdrweave.nodes.classical import OpticalFlow, WarpNeighbours, WeightedMerge
from hdrweave.nodes.reconstruct import ReconstructHDR
from hdrweave.stages.systems.room import flow_room, merge_room, room_for
from hdrweave.stages.systems.table import SYSTEMS
from moving_texture import alternating_clip

clip, asked = alternating_clip((1.0, 8.0), 4, (48, 64), 1.0), []
comfy.model_management.free_memory = lambda amount, device, *given, **kinds: asked.append(amount)
flow, = OpticalFlow.execute(clip, "DIS fast").result
candidates, = WarpNeighbours.execute(clip, flow).result
WeightedMerge.execute(clip, candidates, 1.0, 0.97, 0.0, 1.0)
ReconstructHDR.execute(clip, "fast", wrong_pattern="go on")
print(json.dumps([asked, [flow_room(clip, "fast"), merge_room(clip, 2), room_for(SYSTEMS["classical"], clip)]]))
"""


@pytest.mark.engine
def test_room_is_made_for_flow_and_merge_without_networks(tmp_path):
    asked, expected = run_in_engine(ROOM, tmp_path)
    assert asked == expected and all(expected)
