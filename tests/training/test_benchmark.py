"""The benchmark's commands, on frames so small that they take no time."""

import sys

import pytest
from hdrweave.stages.systems import flagship
from hdrweave.training.__main__ import VERBS
from hdrweave.training.evaluation import benchmark


def run(monkeypatch, capsys, *words) -> str:
    monkeypatch.setattr(benchmark, "SIZES", ((48, 64),))
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    benchmark.main()
    return capsys.readouterr().out


def test_stages_are_timed_and_add_up(monkeypatch, capsys):
    watched = [name for names in benchmark.STAGES.values() for name in names]
    before = [getattr(flagship, name) for name in watched]
    rows = [line.split() for line in run(monkeypatch, capsys, "--stages", "--frames", "3").splitlines()[2:]]
    assert [row[0] for row in rows] == [*benchmark.STAGES, benchmark.OTHER, "whole"]
    assert set(benchmark.STAGES) == set(flagship.SYSTEM.networks)
    assert sum(float(row[1]) for row in rows[:-1]) == pytest.approx(float(rows[-1][1]), abs=0.01)
    assert all(float(row[1]) > 0 for row in rows[:-2])
    assert all(float(row[3]) > 0 for row in rows if row[0] != benchmark.OTHER)
    assert before == [getattr(flagship, name) for name in watched]


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
