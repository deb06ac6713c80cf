"""Loads the pack the way ComfyUI does: from its folder, whatever that is called, under one fixed name."""

import copy
import importlib.util
import os
import sys
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
import torch
from real_engine import front_end, server, tiny_clips  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"

if "hdrweave" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "hdrweave", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules["hdrweave"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["hdrweave"])


WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
if WORKERS > 1:  # they and their child processes share the cores
    threads = max(1, (os.cpu_count() or 1) // WORKERS)
    torch.set_num_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pytest_addoption(parser):
    group = parser.getgroup("hdrweave")
    group.addoption("--device", default="all", help="devices of tests that take one: cpu, cuda, mps, or all there are")
    group.addoption(
        "--dtype", default="float32,bfloat16", help=f"their precisions, commas between: {', '.join(DTYPES)}"
    )


def devices(wanted: str) -> list[str]:
    """The devices of `--device`: `all` is the CPU, and CUDA where there is one."""
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])] if wanted == "all" else wanted.split(",")


def pytest_generate_tests(metafunc):
    """Runs a test that takes `device` or `dtype` once for each, unless it lists its own."""
    own = {name for mark in metafunc.definition.iter_markers("parametrize") for name in str(mark.args[0]).split(", ")}
    wanted = {name for name in ("device", "dtype") if name in metafunc.fixturenames} - own
    if "device" in wanted:
        places = [torch.device(name) for name in devices(metafunc.config.getoption("--device"))]
        metafunc.parametrize("device", places, ids=str)
    if "dtype" in wanted:
        names = metafunc.config.getoption("--dtype").split(",")
        metafunc.parametrize("dtype", [DTYPES[name] for name in names], ids=names)


@pytest.fixture
def autocast(device, dtype):
    """The context in which a network computes in `dtype` on `device`; of float32, none."""
    return nullcontext() if dtype is torch.float32 else torch.autocast(device.type, dtype)


@pytest.fixture
def forward(device, autocast):
    """forward(network, *inputs): its outputs on `device` in precision `dtype`, moved to the CPU. Both may be
    tensors, or tuples, lists, dicts or dataclasses of them."""

    def moved(x, where):
        if isinstance(x, dict):
            return {name: moved(value, where) for name, value in x.items()}
        if isinstance(x, list | tuple):
            return tuple(moved(value, where) for value in x)
        if is_dataclass(x):  # such as a FrameWindow
            return replace(x, **{f.name: moved(getattr(x, f.name), where) for f in fields(x)})
        return x.to(where) if isinstance(x, torch.Tensor) else x

    def run(network, *inputs):
        with torch.no_grad(), autocast:
            return moved(copy.deepcopy(network).to(device)(*moved(inputs, device)), "cpu")

    return run


@pytest.fixture
def float32(monkeypatch):
    """Stages run networks in float32, so that only what is meant to differ does."""
    from hdrweave.stages.runtime import networks

    monkeypatch.setattr(networks, "precision", lambda device: torch.float32)


@pytest.fixture
def cancel():
    """The progress callback of a run that its user cancels at the first report."""

    def interrupt(done, total):
        raise KeyboardInterrupt

    return interrupt


@pytest.fixture(scope="session")
def real_clips():
    """Folder with the real alternating clips of the developers; the product never needs it."""
    if not (SHARED / "alternating_2exp").is_dir():
        pytest.skip("the real clips are not beside this checkout (../shared/data)")
    return SHARED
