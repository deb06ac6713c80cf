"""The benchmark's commands, on frames so small that they take no time."""

import json
import sys

import pytest
import torch
from hdrweave.stages.systems import flagship
from hdrweave.training.__main__ import VERBS
from hdrweave.training.evaluation import benchmark, profile
from simulated_device import NAME, simulated


def run(monkeypatch, capsys, *words) -> str:
    monkeypatch.setattr(benchmark, "SIZES", ((48, 64),))
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    benchmark.main()
    return capsys.readouterr().out


def test_stages_are_timed_and_add_up(monkeypatch, capsys):
    watched = [place for places in benchmark.STAGES.values() for place in places]
    before = [getattr(*place) for place in watched]
    rows = [line.split() for line in run(monkeypatch, capsys, "--stages", "--frames", "4").splitlines()[2:]]
    assert [row[0] for row in rows] == [*benchmark.STAGES, benchmark.OTHER, "whole"]
    assert set(benchmark.STAGES) == set(flagship.SYSTEM.networks)
    assert sum(float(row[1]) for row in rows[:-1]) == pytest.approx(float(rows[-1][1]), abs=0.01)
    assert all(float(row[1]) > 0 for row in rows[:-2])
    assert all(float(row[3]) > 0 for row in rows if row[0] != benchmark.OTHER)
    assert before == [getattr(*place) for place in watched]


def test_sizes_are_timed_beside_one_flow(monkeypatch, capsys):
    rows = run(monkeypatch, capsys, "--time", "--methods", "classical", "--frames", "4").splitlines()[2:]
    assert [line.split()[:3] for line in rows] == [["classical", "64x48", "2"], ["classical", "64x48", "3"]]


def test_memory_is_that_of_one_process(monkeypatch, capsys):
    printed = run(monkeypatch, capsys, "--methods", "classical", "--size", "64x48", "--one", "4")
    assert "4 frames of 64x48: peak" in printed


def test_each_measurement_of_memory_is_a_command_of_its_own(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(benchmark.subprocess, "run", lambda command, check: asked.append(command))
    run(monkeypatch, capsys, "--methods", "classical", "--size", "64x48", "--memory", "4", "8")
    assert [command[-1] for command in asked] == ["4", "8"]
    executable, flag, package, verb, *words = asked[0]
    assert (executable, flag, package, VERBS[verb]) == (
        sys.executable,
        "-m",
        "hdrweave.training",
        "evaluation.benchmark",
    )
    assert "4 frames of 64x48: peak" in run(monkeypatch, capsys, *words)


def test_methods_are_measured_stage_by_stage(monkeypatch, capsys, tmp_path):
    out = tmp_path / "made" / "figures.json"
    words = ("--device", "cpu", "--size", "64x48", "--frames", "4", "--methods", "classical", "--json", str(out))
    printed = run(monkeypatch, capsys, *words)
    (figures,) = json.loads(out.read_text())["methods"]
    assert set(figures["stages"]) == {"flow", "windows", "merge", "other"} and figures["units"] > 0
    assert sum(figures["stages"].values()) == pytest.approx(figures["milliseconds"])
    assert all(stage in printed for stage in figures["stages"])


def test_baselines_have_no_stages(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(benchmark, "profile", lambda names, *told: asked.append(names))
    run(monkeypatch, capsys, "--device", "cpu", "--methods", "all")
    assert asked == [list(benchmark.SYSTEMS)]
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, "--device", "cpu", "--methods", "classical,reference")
    assert "reference is a baseline" in capsys.readouterr().err and len(asked) == 1


def test_busy_processes_are_ended(monkeypatch):
    started, start = [], profile.subprocess.Popen

    def watched(*args):
        started.append(start(*args))
        return started[-1]

    monkeypatch.setattr(profile.subprocess, "Popen", watched)
    with profile.busy_processes(2):
        assert [one.poll() for one in started] == [None, None]
    assert all(one.poll() is not None for one in started)


def test_crossings_of_a_device_are_counted():
    with simulated(), profile.Crossings() as crossings:
        there = torch.ones(2, 3).to(NAME)
        (there * 2).cpu()
        there.sum().item()
    assert (crossings.uploads, crossings.downloads, crossings.waits) == (1, 1, 1)
