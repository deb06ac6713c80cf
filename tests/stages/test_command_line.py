"""Patterns that begin with a minus, as two words, in every command that takes one."""

import demo
import farm
import pytest
from hdrweave.stages.farm import __main__ as farm_command
from hdrweave.stages.runtime.command_line import with_pattern_joined
from hdrweave.training.evaluation import seams

PATTERN = ["--pattern", "-3,0"]


def test_only_the_value_of_a_pattern_is_joined():
    assert with_pattern_joined(["a", *PATTERN, "--out", "-3"]) == ["a", "--pattern=-3,0", "--out", "-3"]
    for words in (["--pattern", "1:8"], ["--pattern", "--out"], ["--pattern"], ["--pattern=0", "-3,0"], []):
        assert with_pattern_joined(words) == words


def test_commands_take_it(tmp_path, monkeypatch):
    seen = []

    def stop(*given, **options):
        seen.append(given)
        raise ValueError("seen")

    monkeypatch.setattr(farm_command, "start_job", stop)
    assert farm_command.main(["survey", "clip", "folder", *PATTERN]) == 1 and seen.pop()[2].pattern == "-3,0"
    monkeypatch.setattr(seams, "load_clip", stop)
    monkeypatch.setattr("sys.argv", ["seams", "clip", *PATTERN])
    with pytest.raises(SystemExit):
        seams.main()
    assert seen.pop()[1] == "-3,0"
    assert farm._parse(["clip", f"--out={tmp_path}", *PATTERN]).pattern == demo._parse(PATTERN).pattern == "-3,0"
