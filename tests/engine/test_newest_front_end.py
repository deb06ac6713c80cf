"""The first template in the newest front end on PyPI, on the oldest promised server: it loads, runs, and frames are seen."""

import comfy_engine
import pytest
from browser_probes import DROP, HARMLESS, LOADER, VIEWER

pytestmark = [pytest.mark.engine, pytest.mark.browser]
FOLDER = comfy_engine.ENGINE / "front-end"  # setup_engine.sh puts it there
OTHERS = ("404", "405", "Failed to load resource")  # asked of servers newer than this one


def test_the_first_template_runs_there(front_end, tiny_clips, tmp_path):
    static = FOLDER / "comfyui_frontend_package" / "static"
    if not static.is_dir():
        pytest.skip("the newest front end is not there: scripts/setup_engine.sh fetches it")
    first = str(comfy_engine.ROOT / "workflows" / "1 HDR from an alternating clip.json")
    told = {LOADER: {"path": str(tiny_clips[2])}, "Reconstruct HDR": {"method": "fast"}}
    job = {"load": first, "set": told, "view": [1920, 1080], "run": True, "probe": VIEWER}
    with comfy_engine.engine(tmp_path / "out", log="newest.log", flags=("--front-end-root", static)) as base:
        pictures = [str(comfy_engine.ENGINE / f"newest-{kind}.png") for kind in ("canvas", "vue")]
        again = {**job, "vue": True, "set": told | {LOADER: told[LOADER] | {"count": 8}}, "screenshot": pictures[1]}
        jobs = [{**job, "screenshot": pictures[0]}, again, {"load": first, "probe": DROP}]
        results = front_end(jobs, base)
    for result in results:
        assert result["missing"] == []
        ours = [m for m in result["console"] if "hdrweave" in m.lower()]
        assert not [m for m in ours if not any(h in m for h in (*HARMLESS, *OTHERS))], ours
    for result in results[:2]:
        assert result["run"]["status"] == "success", result["run"]["messages"]
        assert result["probed"]["layers"] == ["result", "as captured"] and result["probed"]["clipped"] == [255, 0, 0]
    assert results[2]["probed"]["path"].endswith(".mp4") and results[2]["probed"]["hacked"] == 0
    assert "merge hdr" in results[2]["probed"]["searched"]
