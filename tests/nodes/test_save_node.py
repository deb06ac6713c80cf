"""Save HDR Sequence inside the real engine: what it takes, and the files that it tells clients of."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = """
from hdrweave.nodes import preview, save

comfy.cli_args.args.disable_metadata = True
folder_paths.set_temp_directory(str(folder / "temp"))
(folder / "real").mkdir()
(folder / "output").symlink_to(folder / "real")
folder_paths.set_output_directory(str(folder / "output"))
execute = save.SaveHDRSequence.execute
settings = ("films/shot", "exr half", "ZIP", "research", 1001, 4, 0.0)
saved = execute(torch.rand(2, 8, 8, 4), *settings, vote=torch.rand(2, 13, 8, 3), confidence=torch.rand(2, 8, 8))
try:
    execute(torch.rand(2, 8, 8, 1), *settings)
except ValueError as error:
    told = str(error)
print(json.dumps(dict(
    exr=saved.ui["exr"], text=saved.ui["text"][0], pictures=len(saved.ui["images"]), told=told,
    elsewhere=preview.reported([folder / "elsewhere" / "a.exr"]),
)))
"""


@pytest.mark.engine
def test_rgba_is_taken_and_every_file_is_reported(tmp_path):
    found = run_in_engine(IN_ENGINE, tmp_path)
    assert found["exr"] == [
        {"filename": f"shot.{n}.exr", "subfolder": "films/shot_v001", "type": "output"} for n in (1001, 1002)
    ]
    assert all((tmp_path / "real" / f["subfolder"] / f["filename"]).is_file() for f in found["exr"])
    assert found["text"].startswith("2 frames in") and found["pictures"] == 1
    assert found["elsewhere"] == []
    assert found["told"].startswith("hdr has the shape (2, 8, 8, 1), colour frames")
