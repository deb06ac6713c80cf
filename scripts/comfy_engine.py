"""Start and stop a ComfyUI server that `setup_engine.sh` has set up."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from comfy_client import call

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / ".engine"
NOTE = "engine.pid"  # in an engine's temporary folder
ABANDONED = 24 * 3600  # seconds after which a temporary folder without a note is removed


@contextlib.contextmanager
def engine(output: Path, folder: Path = ENGINE, inputs: Path | None = None, log: str = "server.log", flags=()):
    """Run the engine that setup_engine.sh made, as a context: gives the server's address, stops it at the end.

    output: folder for results, made when missing. inputs: ComfyUI's input folder (default: the engine's own). log: name
    of the log file in the engine's folder. Raises RuntimeError with the end of it when the server does not start, and
    another that names it when the server stops before the context ends.
    """
    output, inputs = Path(output).resolve(), Path(inputs or folder / "in").resolve()
    for needed in (output, inputs):
        needed.mkdir(parents=True, exist_ok=True)
    clean_orphans(folder)
    with tempfile.TemporaryDirectory(prefix="temp-", dir=folder) as temp:
        yield from _serve(output, inputs, temp, folder, folder / log, flags)


def clean_orphans(folder: Path = ENGINE) -> list[int]:
    """End the engines in `folder` whose starter was killed, and remove their temporary folders; the processes ended.

    Every engine has a note in its temporary folder: who started it, and its own number. A number may be another process's by
    now, so only one that has this folder in its command line is ended.
    """
    ended = []
    for temp in Path(folder).glob("temp-*"):
        try:
            owner, process = (int(word) for word in (temp / NOTE).read_text(encoding="ascii").split())
        except (OSError, ValueError):
            if time.time() - _changed(temp) > ABANDONED:
                shutil.rmtree(temp, ignore_errors=True)
            continue
        if owner == os.getpid() or _runs(owner):
            continue
        if str(temp) in _command_line(process):
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGTERM)
                ended.append(process)
            end = time.monotonic() + 10
            while str(temp) in _command_line(process) and time.monotonic() < end:
                time.sleep(0.1)
            if str(temp) in _command_line(process):
                with contextlib.suppress(OSError):
                    os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        shutil.rmtree(temp, ignore_errors=True)
    return ended


def _changed(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return time.time()


def _runs(process: int) -> bool:
    return os.name != "posix" or _command_line(process) not in ("", "(defunct)")


def _command_line(process: int) -> str:
    """The command line of a process; empty for one that has ended, and on systems without `ps`."""
    if os.name != "posix":
        return ""
    answer = subprocess.run(["ps", "-o", "stat=,command=", "-ww", "-p", str(process)], capture_output=True, text=True)
    state, _, command = answer.stdout.strip().partition(" ")
    return "(defunct)" if state.startswith("Z") else command.strip()


def _serve(output, inputs, temp, folder, log, flags):
    port = _free_port()
    command = [
        *(folder / "venv/bin/python", "main.py", "--listen", "127.0.0.1", "--port", port, "--disable-auto-launch"),
        *("--disable-api-nodes", "--database-url", "sqlite:///:memory:"),
        *("--extra-model-paths-config", folder / "extra.yaml"),
        *("--output-directory", output, "--input-directory", inputs, "--temp-directory", temp, *flags),
        *(folder / "device").read_text().split(),
    ]
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(c) for c in command],
            cwd=folder / "ComfyUI",
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (Path(temp) / NOTE).write_text(f"{os.getpid()} {process.pid}\n", encoding="ascii")
    try:
        base = f"http://127.0.0.1:{port}"
        _wait_until_ready(base, process, log)
        yield base
    except ConnectionError as error:
        if not _ended(process):
            raise
        raise RuntimeError(
            f"ComfyUI stopped during the run, probably out of memory: its log is {log}; try fewer frames"
        ) from error
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ended(process) -> bool:
    """Whether the server is gone; its connections close a moment before the process ends."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    return process.returncode is not None


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _wait_until_ready(base: str, process, log: Path, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            call(base, "/system_stats", timeout=5)
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("ComfyUI did not start; the end of its log:\n" + "\n".join(log.read_text().splitlines()[-20:]))
