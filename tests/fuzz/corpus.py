"""Small valid files of every kind that the pack reads, and damaged copies of them; the same ones in every run."""

import io
import json
import os
import random
import struct
from pathlib import Path

import av
import numpy as np
import torch
from hdrweave.hdr.cv import cv2
from hdrweave.hdr.io.exr import write_exr
from hdrweave.models import registry
from safetensors.torch import save

ROOT = Path(__file__).resolve().parents[2]
SEED = os.environ.get("HDRWEAVE_FUZZ_SEED", "")
ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 100_000, 2_000_000_000)
SMALL_NETWORK = {"radius": 2, "features": [4, 6, 8]}


def picture(t: int = 0, side: int = 32) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.stack([(x * 7 + t * 9) % 256, (y * 7) % 256, (x * y + t) % 256], -1).astype(np.uint8)


def video(suffix: str, codec: str, pixels: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format={".mkv": "matroska", ".ts": "mpegts"}.get(suffix, suffix[1:])) as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 32, 32, pixels
        for t in range(6):
            frame = av.VideoFrame.from_ndarray(picture(t), format="rgb24").reformat(format=pixels)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def videos():
    yield ".mp4", video(".mp4", "libx264", "yuv420p")
    yield ".mkv", video(".mkv", "ffv1", "yuv420p10le")
    yield ".mov", video(".mov", "prores_ks", "yuv422p10le")
    yield ".avi", video(".avi", "mjpeg", "yuvj420p")
    yield ".ts", video(".ts", "mpeg2video", "yuv420p")
    yield ".gif", video(".gif", "gif", "rgb8")


def images():
    for suffix in (".png", ".tif", ".jpg", ".bmp", ".webp", ".ppm"):
        yield suffix, cv2().imencode(suffix, picture())[1].tobytes()
    yield ".png", cv2().imencode(".png", picture().astype(np.uint16) * 257)[1].tobytes()
    yield ".tif", cv2().imencode(".tif", picture().astype(np.float32) / 255)[1].tobytes()
    yield ".hdr", cv2().imencode(".hdr", picture().astype(np.float32))[1].tobytes()


def exrs(folder: Path):
    for compression in ("ZIP", "PIZ", "DWAA", "none"):
        path = folder / f"seed_{compression}.exr"
        write_exr(path, picture() / 255, compression != "none", compression, {"expTime": 0.01, "comments": "seed"})
        yield ".exr", path.read_bytes()


def weights():
    state = registry.build("base_flow", SMALL_NETWORK).state_dict()
    for parameters in (json.dumps(SMALL_NETWORK), "{}"):
        facts = {"architecture": "base_flow", "parameters": parameters, "version": registry.VERSION}
        yield ".safetensors", save({k: v.contiguous() for k, v in state.items()}, facts)
    yield ".safetensors", save({"a": torch.zeros(3)}, {"architecture": "dealthdr", "parameters": "{}", "version": "1"})


def luts():
    buffer = io.BytesIO()
    np.save(buffer, np.linspace(0, 1, 64) ** 2.2)
    yield ".npy", buffer.getvalue()
    codes = np.linspace(0, 1, 32)
    yield ".csv", "\n".join(f"{c:.6f},{c**2.2:.6f}" for c in codes).encode()
    yield ".txt", "\n".join(f"{round(c * 1023)} {c**2:.6f} {c**2.2:.6f} {c**2.4:.6f}" for c in codes).encode()
    yield ".cube", ('TITLE "a"\nLUT_1D_SIZE 32\n' + "\n".join(f"{c} {c} {c}" for c in codes**2)).encode()


def workflows():
    for path in sorted((ROOT / "workflows").glob("*.json"))[:4]:
        yield ".json", path.read_bytes()


def seeds(kind: str, folder: Path) -> list[tuple[str, bytes]]:
    made = {"video": videos, "image": images, "weights": weights, "lut": luts, "workflow": workflows}
    return list(exrs(folder) if kind == "exr" else made[kind]())


def damaged(content: bytes, rng: random.Random, other: bytes) -> bytes:
    """A copy with one to four faults, as disks, networks and people who mean harm make them."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        head = rng.random() < 0.5  # most that matters is announced at the beginning
        place = rng.randrange(max(min(len(data), 400) if head else len(data), 1)) if data else 0
        match rng.randrange(9):
            case 0:
                data = data[:place]
            case 1 if data:
                data[place % len(data)] ^= 1 << rng.randrange(8)
            case 2:
                data[place : place + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(ODD))
            case 3:
                data[place : place + rng.randint(1, 64)] = b""
            case 4:
                data[place:place] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 64)))
            case 5:
                data[place : place + 32] = bytes(32)
            case 6:
                data[place:place] = data[place : place + rng.randint(1, 256)]
            case 7:
                data[place : place + 16] = rng.choice(
                    (b"\xff" * 16, b"9" * 16, b"-nan inf 1e999 ", b"[" * 16, b'"\\ud800" : {')
                )
            case _:
                data = data[:place] + other[rng.randrange(len(other)) :][:2000]
    return bytes(data)


def odd_json(value, rng: random.Random):
    """A JSON value in which one thing somewhere is another."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        changed = value.copy()
        if rng.random() < 0.1:
            del changed[key]
        else:
            changed[key] = odd_json(value[key], rng)
        return changed
    return rng.choice(
        (None, -1, 10**30, "", "x" * 1000, "\ud800", [], {}, [[]], {"id": None}, True, float("nan"), [1, 2], "a\0")
    )


def corpus(kind: str, count: int, folder: Path) -> list[Path]:
    """`count` damaged files of one kind, written into `folder`, after the valid ones that they are made from."""
    good = seeds(kind, folder)
    paths = []
    for k in range(count):
        rng = random.Random(f"{kind} {k}{SEED}")
        suffix, content = good[k % len(good)]
        if k < len(good):
            name = f"valid{suffix}"
        else:
            name, other = f"damaged{suffix}", rng.choice(good)[1]
            if kind == "workflow" and rng.random() < 0.7:
                content = json.dumps(odd_json(json.loads(content), rng)).encode()
            else:
                content = damaged(content, rng, other)
        paths.append(folder / f"{k:04d}" / name)  # alone: beside others of its name it would be a frame of a sequence
        paths[-1].parent.mkdir()
        paths[-1].write_bytes(content)
    return paths
