"""The demo's options: every workflow of the pack takes what it is told."""

import json

import demo
import pytest
from render import apply
from ui_to_api import to_prompt


def told(*arguments):
    return demo.settings(demo._parse(list(arguments)))


def test_the_sample_keeps_its_pattern_and_a_clip_is_measured_unless_told(tmp_path):
    clip = str(tmp_path / "a.mov")
    assert not any(s.startswith(demo.LOADER) for s in told())  # so that a bracket of photos stays one
    assert f"{demo.LOADER}.count=4" in told("--frames", "4") and not any(
        ".response=" in s for s in told("--frames", "4")
    )
    assert {f"{demo.LOADER}.count=0", f"{demo.LOADER}.response=gamma2.2"} < set(told(clip))
    assert {f"{demo.LOADER}.path={clip}", f"{demo.LOADER}.pattern=auto"} < set(told(clip))
    assert f"{demo.LOADER}.pattern=-3,0" in told(clip, "--pattern", "-3,0")


def test_an_unknown_workflow_is_refused_with_the_names(capsys):
    assert demo._parse([]).workflow == "f2hdr_refined"
    with pytest.raises(SystemExit):
        demo._parse(["--workflow", "fancy"])
    words = capsys.readouterr().err
    assert "'fancy'" in words and all(f"'{name}'" in words for name in demo.WORKFLOWS)


@pytest.mark.engine
@pytest.mark.parametrize("name", demo.WORKFLOWS)
def test_every_workflow_has_the_nodes_that_are_told(server, name):
    prompt = to_prompt(json.loads(demo.WORKFLOWS[name].read_text(encoding="utf-8")), server.info)
    for setting in told("a.mov", "--workflow", name, "--frames", "9"):
        apply(prompt, server.info, setting)
