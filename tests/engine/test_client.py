"""What the client says when ComfyUI is gone, and where it puts what it fetches; against a server that only pretends."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import comfy_client
import pytest
import render


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
    url = f"http://127.0.0.1:{comfy_client._free_port()}"
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
        with comfy_client.engine(tmp_path / "out", folder) as base:
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
