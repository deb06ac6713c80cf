"""Make torchvision and torchaudio importable beside a CPU-only torch; harmless where they already are.

The wheels of both on PyPI are linked against CUDA libraries that a CPU torch does not contain. ComfyUI imports them at
its start and needs none of their compiled operators. Run by setup_engine.sh in the engine's own environment only.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

SITE = Path(sysconfig.get_paths()["purelib"])
TAG = "# cpu-only operator schemas"
SCHEMAS = f"""

{TAG}
if not _has_ops():
    from torch import library
    _cpu_schemas = library.Library("torchvision", "DEF")
    for _op in ("nms", "qnms"):
        _cpu_schemas.define(_op + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def imports(module: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode == 0


extension = SITE / "torchvision" / "extension.py"
if not imports("torchvision") and TAG not in extension.read_text():
    with extension.open("a") as file:
        file.write(SCHEMAS)
if not imports("torchaudio"):
    for library in (SITE / "torchaudio" / "lib").glob("*.so"):
        library.unlink()
sys.exit(not (imports("torchvision") and imports("torchaudio")))
