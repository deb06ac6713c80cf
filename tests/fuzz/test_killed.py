"""Saving that is killed (SIGKILL) at any moment: whole frames under their final names alone, the rest told and cleaned up.

HDRWEAVE_KILLS=30 kills as many.
"""

import os
import sys

import pytest
from child import run_child
from hdrweave.hdr.io.exr import read_exr
from hdrweave.stages.clip.load import load_hdr

KILLS = int(os.environ.get("HDRWEAVE_KILLS", 6))
FRAMES = 12
# One process imports once and forks the savers, each killed after a time of its own.
KILLER = f"""
import os, random, sys, time, torch
from hdrweave.stages.output.save import save_sequence
frames = torch.rand(({FRAMES}, 96, 160, 3), generator=torch.Generator().manual_seed(0))
begun = time.monotonic()
save_sequence(frames, sys.argv[1], "whole", scale="research")
whole = time.monotonic() - begun
draw = random.Random(0)
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        save_sequence(frames, sys.argv[1], "a", scale="research")
        os._exit(0)
    time.sleep(draw.uniform(0, 1.1 * whole))
    os.kill(child, 9)
    os.waitpid(child, 0)
save_sequence(frames[:2], sys.argv[1], "a", scale="research")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_nothing_half_written_has_its_final_name(tmp_path):
    ended = run_child(KILLER, tmp_path, KILLS)
    assert ended.returncode == 0, ended.stderr
    complete = incomplete = files = 0
    *killed, last = sorted(tmp_path.glob("a_v*"))
    for folder in killed:
        for file in folder.glob("[!.]*.exr"):
            assert read_exr(file)[0].shape == (96, 160, 3)
            files += 1
        try:
            assert len(load_hdr(folder)) == FRAMES
            complete += 1
        except ValueError as error:
            assert "incomplete" in str(error)
            incomplete += 1
    print(
        f"{KILLS} kills: {complete} folders complete, {incomplete} told to be incomplete, {files} whole files, 0 half"
    )
    assert incomplete > 0
    assert len(load_hdr(last)) == 2
    assert not [path for path in tmp_path.rglob("*") if ".partial" in path.name and path.suffix == ".exr"]
