"""`scripts/farm.py`: clips on a Ray cluster; needs Ray (the extra `farm`)."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hdrweave.hdr.io.exr import read_exr
from hdrweave.stages.clip.incomplete import MARK
from hdrweave.stages.clip.load import load_clip
from hdrweave.stages.farm.job import open_job
from hdrweave.stages.reconstruct import prepared
from hdrweave.stages.systems.classical import classical
from moving_texture import captured, radiance
from small_clips import write_png

pytest.importorskip("ray", reason="ray is not installed: pip install -e .[farm]")
COUNT = 12
NICENESS = {"RAY_worker_niceness": "0"}  # Ray's 15 starves its workers beside other tests
SCRIPT = Path(__file__).parents[1] / "scripts" / "farm.py"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips") / "take7"
    folder.mkdir()
    for t, frame in enumerate(captured(radiance(COUNT, (64, 96), speed=2.0), [1, 8] * (COUNT // 2), 0.1)):
        write_png(folder / f"a.{t:04d}.png", frame, np.uint16)
    return folder


@pytest.fixture(scope="module")
def whole(clip):
    return (classical(prepared(load_clip(clip, "1x,8x"), "classical")) * 8).half().numpy()


def pixels(folder) -> np.ndarray:
    job = open_job(folder)
    return np.stack([read_exr(job.path(t))[0] for t in range(COUNT)]).astype(np.float16)


def test_clips_on_this_machine_and_one_that_is_none(clip, tmp_path, whole):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    command = [
        sys.executable,
        SCRIPT,
        clip,
        broken,
        "--method=classical",
        "--pattern=1x,8x",
        f"--out={tmp_path / 'out'}",
    ]
    answer = subprocess.run(
        [*command, "--frames=4", "--cores=1"],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, **NICENESS},
    )
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "1 of 2 clips are delivered" in answer.stdout
    assert "broken.mp4 cannot be opened" in answer.stderr or "broken.mp4 is" in answer.stderr
    assert "Traceback" not in answer.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())["clips"]
    assert [(row["done"], row["delivered"], bool(row["error"])) for row in manifest] == [
        (COUNT, True, False),
        (0, False, True),
    ]
    folder = tmp_path / "out" / "take7_v001"
    assert np.array_equal(pixels(folder), whole)
    assert (folder / "contact_sheet.png").is_file() and not (folder / MARK).exists()


def test_the_manifest_names_the_workflow_that_was_run(tmp_path):
    import farm

    saved = tmp_path / "graph.json"
    saved.write_text("{}")
    for words, method in (((), "f2hdr_refined"), (("--workflow", str(saved)), str(saved))):
        farm.write_manifest(farm._parse(["clip", f"--out={tmp_path}", *words]), [])
        assert json.loads((tmp_path / "manifest.json").read_text())["method"] == method


def test_a_node_that_dies_half_way_changes_nothing(clip, tmp_path, whole, monkeypatch):
    """Two Ray nodes on this machine; one is killed when the first frames are there."""
    import farm
    import ray
    from ray.cluster_utils import Cluster

    for name, value in NICENESS.items():
        monkeypatch.setenv(name, value)
    given = {"num_cpus": 1, "object_store_memory": farm.STORE}
    cluster = Cluster(initialize_head=True, head_node_args=given)
    second, killed = cluster.add_node(**given), []

    def kill():
        end = time.monotonic() + 300
        while time.monotonic() < end:
            frames = list(tmp_path.glob("out/take7_v001/*.exr"))
            if frames:
                cluster.remove_node(second, allow_graceful=False)
                killed.append(len(frames))
                return
            time.sleep(0.01)

    try:
        ray.init(address=cluster.address, log_to_driver=False)
        options = farm._parse(
            [str(clip), "--method=classical", "--pattern=1x,8x", f"--out={tmp_path / 'out'}", "--frames=2", "--cores=1"]
        )
        thread = threading.Thread(target=kill)
        thread.start()
        clips = farm.run(ray, options)
        thread.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert [c.error for c in clips] == [""] and clips[0].finished
    assert killed and killed[0] < COUNT
    assert np.array_equal(pixels(clips[0].folder), whole)
