"""Loads the pack the way ComfyUI does: from its folder, whatever that is called, under one fixed name."""

import importlib.util
import sys
from pathlib import Path

import pytest
from real_engine import front_end, server, tiny_clips  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"

if "hdrweave" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "hdrweave", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules["hdrweave"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["hdrweave"])


@pytest.fixture(scope="session")
def real_clips():
    """Folder with the real alternating clips of the developers; the product never needs it."""
    if not (SHARED / "alternating_2exp").is_dir():
        pytest.skip("the real clips are not beside this checkout (../shared/data)")
    return SHARED
