"""Code in a process of its own, so that a native crash, a hang or a memory limit is a test's result and not its end."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent


def run_child(code: str, *arguments, timeout: float = 600) -> subprocess.CompletedProcess:
    """`code` with the pack imported as `hdrweave`, one thread, and freed memory overwritten: outcome with output as text."""
    folders = [str(TESTS), str(TESTS.parent / "scripts"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-c", "import conftest\n" + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1", "MALLOC_PERTURB_": "165"},
    )
