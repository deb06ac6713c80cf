"""Talk to a ComfyUI server: the standard library is all it needs."""

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

TEXT, PING, PONG = 1, 9, 10  # WebSocket opcodes
GONE = 8  # polls that find a prompt neither waiting, running nor done before it is given up: it may be between two of these


class RunFailed(Exception):
    """A workflow that the server refused or could not finish; the message says why, one node on a line."""


def call(base: str, path: str, body=None, timeout: float = 60):
    """The JSON answer to a GET of `path`, or to a POST of `body` where one is given; None for an empty answer.

    Raises ConnectionError when the server cannot be reached, HTTPError when it refuses.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"})
    with _reaching(base), urllib.request.urlopen(request, timeout=timeout) as reply:
        text = reply.read()
    return json.loads(text) if text else None


@contextlib.contextmanager
def _reaching(base: str):
    """Turns every failure to reach the server into one ConnectionError; the server's own refusals (HTTPError) pass."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(
            f"ComfyUI cannot be reached at {base}, or no longer ({getattr(error, 'reason', error)}): "
            "see whether it runs there and how its log ends, then start again"
        ) from error


def run(base: str, prompt: dict, report=lambda title, done, total: None) -> dict:
    """Execute `prompt` and wait for its end: the entry that the server's history then holds ("outputs", "status" …).

    report(title, done, total) is called with every step of progress of the node `title`. Raises RunFailed with one
    sentence for each node that is wrong, or when the run failed or was interrupted; ConnectionError when the server
    cannot be reached any more.
    """
    events = _Events(base)
    try:
        identity = submit(base, prompt, events.client)
        entry, missed = None, 0
        while not entry:
            entry = call(base, f"/history/{identity}").get(identity)
            missed = 0 if entry or _is_queued(base, identity) else missed + 1
            if missed == GONE:
                raise RunFailed(
                    "the run is gone from the server's queue: somebody has cleared it there; start it again"
                )
            for kind, data in events.read():
                if kind == "progress" and data.get("prompt_id") in (None, identity) and data.get("node"):
                    report(title_of(prompt, data["node"]), data["value"], data["max"])
                elif kind == "executing" and data.get("prompt_id") == identity and data.get("node"):
                    report(title_of(prompt, data["node"]), 0, 0)
    except KeyboardInterrupt:
        call(base, "/interrupt", {})
        raise
    finally:
        events.close()
    if entry["status"]["status_str"] != "success":
        raise RunFailed(_failure(prompt, entry["status"]["messages"]))
    return entry


def _is_queued(base: str, identity: str) -> bool:
    queue = call(base, "/queue")
    return any(identity in item[:3] for key in ("queue_running", "queue_pending") for item in queue.get(key, ()))


def submit(base: str, prompt: dict, client: str = "") -> str:
    """Queue `prompt`; its id. Raises RunFailed when any node of it is wrong, even if the server would run the rest."""
    try:
        reply = call(base, "/prompt", {"prompt": prompt, "client_id": client})
    except urllib.error.HTTPError as error:
        if error.code != 400:
            raise
        reply = json.loads(error.read())
    if reply.get("node_errors"):
        if "prompt_id" in reply:
            call(base, "/queue", {"delete": [reply["prompt_id"]]})
            call(base, "/interrupt", {"prompt_id": reply["prompt_id"]})
        raise RunFailed("\n".join(_refusals(prompt, reply["node_errors"])))
    if "error" in reply:
        raise RunFailed(f"{reply['error']['message']}: {reply['error']['details']}".rstrip(": "))
    return reply["prompt_id"]


def title_of(prompt: dict, node_id: str) -> str:
    """The title that the user gave a node, or its type."""
    node = prompt.get(str(node_id), {})
    return node.get("_meta", {}).get("title") or node.get("class_type") or f"node {node_id}"


def _refusals(prompt: dict, node_errors: dict):
    for node_id, entry in node_errors.items():
        for message in dict.fromkeys(f"{e['message']}: {e['details']}".rstrip(": ") for e in entry["errors"]):
            yield f"{title_of(prompt, node_id)}: {message}"


def _failure(prompt: dict, messages: list) -> str:
    for kind, data in messages:
        if kind == "execution_error":
            return f"{title_of(prompt, data['node_id'])}: {data['exception_message'].strip()}"
        if kind == "execution_interrupted":
            return f"interrupted at {title_of(prompt, data['node_id'])}"
    return "the run failed, and the server did not say why"


def files_of(entry: dict) -> list[dict]:
    """Files that the nodes of a finished run reported: {"filename", "subfolder", "type"}, in order, each once."""
    found = {}
    for output in entry["outputs"].values():
        for items in output.values():
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and item.get("filename"):
                    found[item.get("type"), item.get("subfolder"), item["filename"]] = item
    return list(found.values())


def fetch(base: str, file: dict, folder: Path) -> Path:
    """Download one of `files_of` into `folder`, under its own subfolder and name; the path it got."""
    query = urllib.parse.urlencode({k: file.get(k, "") for k in ("filename", "subfolder", "type")})
    subfolder = [p for p in re.split(r"[/\\]", file.get("subfolder", "")) if p not in ("", ".", "..")]
    target = Path(folder, *subfolder, Path(file["filename"]).name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _reaching(base), urllib.request.urlopen(f"{base}/view?{query}", timeout=600) as reply:
        content = reply.read()
    part = target.with_name(target.name + ".part")
    part.write_bytes(content)
    os.replace(part, target)
    return target


class _Events:
    """The server's WebSocket, read without waiting longer than a moment. A lost connection only means no progress."""

    def __init__(self, base: str):
        self.client, self.buffer = uuid.uuid4().hex, bytearray()
        url = urllib.parse.urlparse(base)
        port = url.port or (443 if url.scheme == "https" else 80)
        with _reaching(base):
            self.socket = socket.create_connection((url.hostname, port), 10)
        if url.scheme == "https":
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=url.hostname)
        self.socket.sendall(
            f"GET {url.path}/ws?clientId={self.client} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self.buffer:
            if not self._receive():
                raise ConnectionError(f"{base} does not speak WebSocket: is it a ComfyUI server?")
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        if b" 101 " not in head.splitlines()[0]:
            raise ConnectionError(f"{base} does not speak WebSocket: is it a ComfyUI server?")
        self.buffer = bytearray(rest)
        self.socket.settimeout(0.25)

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            return True
        self.buffer += data
        return bool(data)

    def read(self):
        """(type, data) of the messages that have arrived; waits a quarter of a second when there are none."""
        try:
            if not self._receive():
                time.sleep(0.25)
        except OSError:
            time.sleep(0.25)
        while (frame := self._frame()) is not None:
            opcode, payload = frame
            if opcode == PING:
                self.socket.sendall(bytes([0x80 | PONG, 0x80 | len(payload)]) + bytes(4) + payload)
            elif opcode == TEXT:
                message = json.loads(payload)
                yield message["type"], message.get("data") or {}

    def _frame(self):
        """The next whole frame (opcode, payload), or None until it has arrived. A server's frames are not masked."""
        if len(self.buffer) < 2:
            return None
        length, head = self.buffer[1] & 127, 2
        for code, form, size in ((126, ">H", 2), (127, ">Q", 8)):
            if length == code:
                if len(self.buffer) < head + size:
                    return None
                length, head = struct.unpack_from(form, self.buffer, head)[0], head + size
                break
        if len(self.buffer) < head + length:
            return None
        opcode, payload = self.buffer[0] & 15, bytes(self.buffer[head : head + length])
        del self.buffer[: head + length]
        return opcode, payload

    def close(self):
        self.socket.close()
