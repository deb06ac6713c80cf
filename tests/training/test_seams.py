"""The verb `seams` sees whether ranges join."""

from dataclasses import replace

import numpy as np
import pytest
from hdrweave.stages.farm import ranges
from hdrweave.training.evaluation import seams
from moving_texture import captured, radiance
from small_clips import write_png

COUNT = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("take7")
    for t, frame in enumerate(captured(radiance(COUNT, (64, 96), speed=2.5), [1, 8] * (COUNT // 2), 0.1)):
        write_png(path / f"a.{t:04d}.png", frame, np.uint16)
    return path


def test_a_table_of_a_clip(folder, monkeypatch, capsys):
    given = [str(folder), "--methods=classical", "--lengths", "4", "--width=48", "--pattern=1x,8x"]
    monkeypatch.setattr("sys.argv", ["seams", *given])
    seams.main()
    out = capsys.readouterr().out
    assert "classical 0, " in out and "0, x1.25, x" in out and "8 frames of width 48" in out
    monkeypatch.setattr("sys.argv", ["seams", str(folder), "--methods=magic"])
    with pytest.raises(SystemExit):
        seams.main()
    assert "choose one of" in capsys.readouterr().err


def test_overhead_of_ranges(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["seams", "--methods=classical,f2hdr_refined", "--lengths", "8", "96"])
    seams.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1][:7] == ["classical", "1", "/", "2", "25", "/", "75"]
    # windows of 12 around each 8 frames, and 7 frames on either side: (12 + 24 + 12) / 3 + 14 of 8
    assert seams.overhead("f2hdr_refined", 2, 8) == pytest.approx(((12 + 24 + 12) / 3 + 14) / 8 - 1)
    assert seams.overhead("f2hdr_refined", 2, 96) == pytest.approx(14 / 96)


def test_a_seam_is_seen(folder, monkeypatch):
    monkeypatch.setitem(ranges.SYSTEMS, "classical", replace(ranges.SYSTEMS["classical"], reach=lambda period: 0))
    cells = seams.row(folder, "1x,8x", "classical", [2])
    assert float(cells[2].split(",")[0]) > 1e-3, cells
