"""Every input of every node is given values that it does not take: one sentence each, nothing from a library, no work done in
vain. What a workflow file of others may hold: the engine passes most of it on."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = r"""
import asyncio, traceback
from hdrweave.nodes.extension import HDRWeaveExtension
from hdrweave.stages.clip.captured import image_clip
from hdrweave.stages.clip.load import expose
from hdrweave.stages.clip.normalize import normalize
from hdrweave.stages.flow.estimate import estimate_flow

comfy.cli_args.args.disable_metadata = True
folder_paths.set_output_directory(str(folder / "output"))
folder_paths.set_temp_directory(str(folder / "temp"))
images = (torch.rand(1, 16, 16, 3) * torch.tensor([0.125, 1] * 2)[:, None, None, None]) ** (1 / 2.2)
clip = normalize(expose(image_clip(images), "-3,0"))
given = {"IMAGE": images, "MASK": images[..., 0], "HDRWEAVE_EXPOSURES": clip, "HDRWEAVE_FLOW": estimate_flow(clip)}
odd = [None, "\ud800", math.nan, 1.5, [1], {}, torch.rand(2, 2), images[:, :0], images.to_sparse()]
calls, wrong = 0, []
for node in asyncio.run(HDRWeaveExtension().get_node_list()):
    inputs, values = node.define_schema().inputs, {}
    for entry in inputs:
        values[entry.id] = entry.default if getattr(entry, "default", None) is not None else given.get(entry.get_io_type())
    for entry in inputs:
        for value in odd:
            if value is None and entry.optional:
                continue
            calls += 1
            try:
                node.execute(**{**values, entry.id: value})
            except (ValueError, OSError) as error:
                message, place = str(error), traceback.extract_tb(error.__traceback__)[-1].filename
                good = place.startswith(str(root)) and "\n" not in message and message.isprintable()
            except Exception as error:
                good, message = False, repr(error)
            else:
                continue
            if not good:
                wrong.append([node.define_schema().node_id, entry.id, repr(value)[:40], message[:200]])
print(json.dumps([calls, wrong]))
"""


@pytest.mark.engine
def test_every_input_of_every_node(tmp_path):
    calls, wrong = run_in_engine(IN_ENGINE, tmp_path)
    assert calls > 1000 and not wrong, wrong[:20]
