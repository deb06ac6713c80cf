#!/usr/bin/env python3
"""Run a saved ComfyUI workflow without a browser, in an engine of its own or on a running server.

    scripts/render.py workflows/stages_classical.json --set "Load Alternating Exposures.path=/clips/take7.mov" --out take7

Needs only Python; without --server also the engine that scripts/setup_engine.sh makes.
"""

import argparse
import contextlib
import json
import re
import signal
import sys
import time
from pathlib import Path

import comfy_client
import comfy_engine
from ui_to_api import to_prompt, widget_inputs

MAX_BYTES = 256 << 20  # of a workflow file
LINE_INTERVAL = 30.0  # seconds between lines about a running node, where there is no terminal
BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def main(arguments=None) -> int:
    options = _parse(arguments)
    for name in ("SIGTERM", "SIGHUP"):  # so that the engine is stopped, too, also by a terminal that is closed
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        workflow = read_workflow(options.workflow)
        with _server(options) as base:
            files = render(base, workflow, options.set, Path(options.out), progress=Progress())
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except (comfy_client.RunFailed, ValueError, OSError, RuntimeError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(f"\n{len(files)} files in {Path(options.out).resolve()}")
    for line in summary(files, Path(options.out)):
        print(f"  {line}")
    return 0


def read_workflow(path) -> dict:
    """The workflow in a file. Raises ValueError for a file that holds none, OSError for one that cannot be read."""
    path = Path(path)
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{str(path)!r} is no workflow file: give one that ComfyUI saved")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is no workflow file ({error}): give one that ComfyUI saved") from error


def _parse(arguments):
    parser = argparse.ArgumentParser(description="Run a saved ComfyUI workflow without a browser.")
    parser.add_argument("workflow", help="a workflow saved by ComfyUI (.json; Save or Export (API))")
    parser.add_argument(
        *("--set", "-s"), metavar='"NODE.INPUT=VALUE"', action="append", default=[],
        help="set an input of the node with this title (or type, or #id); may be given many times",
    )  # fmt: skip
    parser.add_argument("--server", metavar="URL", help="use this running ComfyUI instead of starting one")
    parser.add_argument("--out", metavar="DIR", default="out", help="folder for the results (default: out)")
    return parser.parse_args(arguments)


def _server(options):
    if options.server:
        return contextlib.nullcontext(options.server.rstrip("/"))
    if not (comfy_engine.ENGINE / "extra.yaml").is_file():
        raise ValueError(
            "there is no engine yet: run scripts/setup_engine.sh first, or name a running ComfyUI with --server"
        )
    print("starting ComfyUI …", flush=True)
    return comfy_engine.engine(Path(options.out))


def render(base: str, workflow: dict, settings, out: Path, progress) -> list[Path]:
    """Run `workflow` (UI or API format) on the server `base`; the files it wrote, as paths under `out`.

    settings: "Node.input=value" strings. What a server elsewhere wrote is downloaded, if its nodes name their files.
    Raises ValueError for a setting that fits nothing, RunFailed when the server refuses or breaks off the run.
    """
    info = comfy_client.call(base, "/object_info")
    prompt = to_prompt(workflow, info)
    for setting in settings:
        apply(prompt, info, setting)
    before = _files(out)
    entry = comfy_client.run(base, prompt, progress)
    progress.end()
    written = sorted(path for path, changed in _files(out).items() if before.get(path) != changed)
    if not written:
        written = [
            comfy_client.fetch(base, file, out) for file in comfy_client.files_of(entry) if file["type"] == "output"
        ]
    return written


def _files(folder: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def apply(prompt: dict, info: dict, setting: str) -> None:
    """Change `prompt` as `setting` says ("Node title.input=value"); the value is read as the input's type asks."""
    target, equals, value = setting.partition("=")
    name, dot, key = target.strip().rpartition(".")
    if not (equals and dot):
        raise ValueError(f'--set "{setting}" is not of the form "Node title.input=value"')
    wanted = name.lower()
    titles = {i: comfy_client.title_of(prompt, i) for i in prompt}
    found = [i for i in prompt if wanted in (titles[i].lower(), prompt[i]["class_type"].lower(), f"#{i}")]
    if len(found) != 1:
        titles = ", ".join(sorted(f"{title} (#{i})" for i, title in titles.items()))
        raise ValueError(f"{len(found) or 'no'} nodes are called {name!r}; the workflow has: {titles}")
    node = prompt[found[0]]
    specs = dict(widget_inputs(info[node["class_type"]]))
    if key not in specs:
        raise ValueError(f"{name} has no setting {key!r}; it has: {', '.join(specs)}")
    node["inputs"][key] = _typed(value.strip(), specs[key], f"{name}.{key}")


def _typed(value: str, spec, where: str):
    kind = "COMBO" if isinstance(spec[0], list) else spec[0]
    try:
        if kind == "BOOLEAN":
            return BOOLEANS[value.lower()]
        return {"INT": int, "FLOAT": float}.get(kind, str)(value)
    except (ValueError, KeyError):
        raise ValueError(f"{where} takes {kind}, not {value!r}") from None


def summary(files: list[Path], folder: Path) -> list[str]:
    """The files relative to `folder`, one on a line, numbered sequences drawn together."""
    sequences = {}
    for path in files:
        shown = path.resolve().relative_to(folder.resolve()).as_posix()
        stem, number, suffix = re.fullmatch(r"(.*?)(\d{4,}|)(_?\.\w+|)", shown).groups()
        sequences.setdefault((stem, suffix), []).append(number)
    return [
        f"{stem}{numbers[0]}{suffix}"
        if len(numbers) == 1
        else f"{stem}[{numbers[0]}-{numbers[-1]}]{suffix}, {len(numbers)} files"
        for (stem, suffix), numbers in sequences.items()
    ]


class Progress:
    """Prints the running node, its progress, rate and time left: on a terminal one line that is rewritten, elsewhere a line for
    each node and another every half minute while it runs."""

    def __init__(self, clock=time.monotonic):
        self.clock, self.title, self.begin, self.live = clock, None, 0.0, sys.stdout.isatty()
        self.start, self.printed = (0.0, 0), 0.0

    def __call__(self, title: str, done: int, total: int) -> None:
        now = self.clock()
        if title != self.title:
            self.end()
            self.title, self.begin, self.start, self.printed = title, now, (now, done), now
        if done < self.start[1]:
            self.start = now, done
        if self.live or now - self.printed > LINE_INTERVAL:
            self.printed = now
            line = f"  {title} {self.words(now, done, total)}"
            print(f"\r\033[K{line}" if self.live else line, end="" if self.live else "\n", flush=True)

    def words(self, now: float, done: int, total: int) -> str:
        """Such as "12 of 48, 3.1 a second, 12 s left"."""
        begin, before = self.start
        if not total or done <= before or now <= begin:
            return f"{done} of {total}" if total else ""
        rate = (done - before) / (now - begin)
        return f"{done} of {total}, {rate:.2g} a second, {(total - done) / rate:.0f} s left"

    def end(self) -> None:
        """Close the line of the node that has just finished."""
        if self.title:
            start = "\r\033[K" if self.live else ""
            print(f"{start}  {self.title} {self.clock() - self.begin:.1f} s", flush=True)
        self.title = None


if __name__ == "__main__":
    sys.exit(main())
