"""What the client says when ComfyUI is gone, and where it puts what it fetches; against a server that only pretends."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import comfy_client
import comfy_engine
import pytest
import render
import ui_to_api


class Server(BaseHTTPRequestHandler):
    """Takes a prompt, and is gone when asked for its history."""

    def do_GET(self):
        if self.path.startswith("/history"):
            return
        self.send_response(101 if self.path.startswith("/ws") else 200)
        self.end_headers()
        if self.path.startswith("/view"):
            self.wfile.write(b"pixels")

    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"prompt_id": "1"}).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def base():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_dies_during_a_run_is_named(base):
    with pytest.raises(ConnectionError, match=f"ComfyUI cannot be reached at {base}, or no longer .*: see whether it"):
        comfy_client.run(base, {})


def test_a_server_that_is_not_there_is_told_in_one_sentence(tmp_path, capsys):
    (tmp_path / "graph.json").write_text("{}")
    url = f"http://127.0.0.1:{comfy_engine._free_port()}"
    assert render.main([str(tmp_path / "graph.json"), "--server", url, "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.strip().startswith(f"ComfyUI cannot be reached at {url}")


DYING_ENGINE = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/system_stats":
            os._exit(9)
        self.send_response(200)
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Server).serve_forever()
"""


def test_an_own_engine_that_dies_says_where_its_log_is_and_what_to_try(tmp_path):
    folder = tmp_path / "engine"
    for needed in ("venv/bin", "ComfyUI"):
        (folder / needed).mkdir(parents=True)
    (folder / "venv/bin/python").symlink_to(sys.executable)
    (folder / "ComfyUI/main.py").write_text(DYING_ENGINE)
    (folder / "device").touch()
    with pytest.raises(RuntimeError, match="ComfyUI stopped during the run, .* its log is .*server.log; try fewer"):
        with comfy_engine.engine(tmp_path / "out", folder) as base:
            comfy_client.run(base, {})


@pytest.mark.parametrize(
    ("subfolder", "place"),
    [("", "a.exr"), ("films/hdr_v001", "films/hdr_v001/a.exr"), ("films\\hdr_v001", "films/hdr_v001/a.exr"),
     ("../../films", "films/a.exr"), ("/films", "films/a.exr")],
)  # fmt: skip
def test_fetched_files_keep_their_folder_and_stay_inside(base, tmp_path, subfolder, place):
    file = {"filename": "a.exr", "subfolder": subfolder, "type": "output"}
    assert comfy_client.fetch(base, file, tmp_path) == tmp_path / place
    assert (tmp_path / place).read_bytes() == b"pixels"


class Cleared(Server):
    """Takes a prompt, of which its queue and its history then know nothing."""

    queue = {"queue_running": [], "queue_pending": [[1, "another", {}]]}

    def do_GET(self):
        self.send_response(101 if self.path.startswith("/ws") else 200)
        self.end_headers()
        if not self.path.startswith("/ws"):
            self.wfile.write(json.dumps(self.queue if self.path == "/queue" else {}).encode())


def test_a_prompt_that_was_cleared_ends_the_run(monkeypatch):
    monkeypatch.setattr(comfy_client._Events, "read", lambda self: ())
    with ThreadingHTTPServer(("127.0.0.1", 0), Cleared) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(comfy_client.RunFailed, match="the run is gone from the server's queue"):
            comfy_client.run(f"http://127.0.0.1:{server.server_port}", {})
        server.shutdown()


STARTER = """
import subprocess, sys
from pathlib import Path
temp = Path(sys.argv[1])
import os
quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(temp)], **quiet)
(temp / "engine.pid").write_text(f"{os.getpid()} {engine.pid}")
print(engine.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are told apart by ps")
def test_an_engine_whose_starter_was_killed_is_ended_at_the_next_start(tmp_path):
    temp = tmp_path / "temp-abc"
    temp.mkdir()
    (temp / "frames").write_bytes(b"x")
    done = subprocess.run([sys.executable, "-c", STARTER, str(temp)], capture_output=True, text=True)
    engine = int(done.stdout)
    assert done.returncode == -9 and str(temp) in comfy_engine._command_line(engine)
    mine, other = tmp_path / "temp-mine", tmp_path / "temp-other"
    for folder, note in ((mine, f"{os.getpid()} {os.getpid()}"), (other, f"{done.returncode + 10**7} {os.getpid()}")):
        folder.mkdir()
        (folder / "engine.pid").write_text(note)
    (tmp_path / "temp-young").mkdir()
    assert comfy_engine.clean_orphans(tmp_path) == [engine]
    assert str(temp) not in comfy_engine._command_line(engine)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["temp-mine", "temp-young"]  # this process lives on, too


def test_files_that_are_no_workflow(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xff"}')
    for path in (tmp_path / "deep.json", tmp_path / "latin.json", tmp_path, tmp_path / "none.json"):
        with pytest.raises(ValueError, match="is no workflow file"):
            render.read_workflow(path)


def test_subgraphs_that_unfold_without_end():
    def graph(number, inner):
        nodes = [{"id": k, "type": inner} for k in range(10)]
        return {"id": f"g{number}", "nodes": nodes, "links": []}

    subgraphs = [graph(k, f"g{k + 1}") for k in range(12)]
    workflow = {"nodes": [{"id": 1, "type": "g0"}], "links": [], "definitions": {"subgraphs": subgraphs}}
    with pytest.raises(ValueError, match="more than 2000 subgraphs"):
        ui_to_api.to_prompt(workflow, {})
    subgraphs[-1]["nodes"] = [{"id": 1, "type": "g0"}]
    with pytest.raises(ValueError, match="more than 2000 subgraphs|damaged"):
        ui_to_api.to_prompt(workflow, {})
