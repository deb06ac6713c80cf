"""How far DIS in PyTorch agrees with OpenCV's: `python -m hdrweave.training dis_agreement --clips FILE ...`.

On a texture that moves by a smooth field of up to 2.5 % of the frame's width, and on frames t and t + 2 of videos, at each
size and with each preset: the median difference between both flows in pixels, and the share of differences above half a
pixel, over textured pixels; PSNR of the second frame, fetched along either flow, against the first; and on the texture,
whose motion is known, the mean end-point error of either flow.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from ...hdr.box_filter import box_mean
from ...hdr.cv import cv2
from ...hdr.io.video_files import video_frames
from ...hdr.io.video_frame import to_rgb
from ...hdr.metrics import psnr
from ...hdr.warp import pixel_grid, warp
from ...models.flow.dis import PRESETS, dis_flow
from ...stages.flow.dis_backends import OPENCV, dis_backend
from .report import format_table

TEXTURE = 0.02  # standard deviation of luma in 7x7 pixels
LARGE = 0.5  # pixels
SIZES = "256x136,448x256,640x360,1280x720"
HEAD = ("size", "clip", "preset", "median", "large %", "OpenCV dB", "ours dB", "OpenCV EPE", "ours EPE")
Size = tuple[int, int]  # height, width


def moving_texture(size: Size, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Two frames (1,1,H,W) of a texture and the exact flow (1,2,H,W) from the first to the second."""
    height, width = size
    generator = torch.Generator().manual_seed(seed)
    texture = torch.zeros(1, 1, height, width)
    for cell in (3, 6, 12, 24, 48):  # pixels
        noise = torch.randn((1, 1, height // cell + 2, width // cell + 2), generator=generator)
        texture += F.interpolate(noise, size=size, mode="bicubic") * cell**0.5
    second = torch.sigmoid(texture / texture.std())
    x, y = pixel_grid(height, width)
    flow = width * torch.stack((0.01 + 0.015 * torch.sin(9 * y / height), 0.01 * torch.cos(9 * x / width)))[None]
    return warp(second, flow, "bicubic").clamp(0, 1), second, flow


def frame_pair(path: Path, start: int, size: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Luma (1,1,H,W) of frames `start` and `start` + 2 of a video, of one exposure where two alternate."""
    frames = itertools.islice(video_frames(path), start, start + 3, 2)
    lumas = [cv2().cvtColor(to_rgb(frame), cv2().COLOR_RGB2GRAY) for frame in frames]
    if len(lumas) < 2:
        raise ValueError(f"{path} ends before frame {start + 2}: choose an earlier --frame")
    lumas = [cv2().resize(luma, size[::-1], interpolation=cv2().INTER_AREA) for luma in lumas]
    return tuple(torch.from_numpy(luma)[None, None] / 255 for luma in lumas)


def opencv_flow(first: torch.Tensor, second: torch.Tensor, preset: str) -> torch.Tensor:
    """OpenCV's flow (1,2,H,W) for one pair (1,1,H,W)."""
    return dis_backend(OPENCV, preset)(first, second)


def compare(first, second, preset: str, flow=None, device="cpu") -> dict[str, float]:
    """The figures of one pair (1,1,H,W), and of its exact flow if there is one."""
    ours = dis_flow(first.to(device), second.to(device), preset).cpu()
    theirs = opencv_flow(first, second, preset)
    deviation = (box_mean(first.square(), 7) - box_mean(first, 7).square()).clamp(min=0).sqrt()
    apart = (ours - theirs).norm(dim=1, keepdim=True)[deviation > TEXTURE]
    figures = {
        "median": apart.median().item(),
        "large": (apart > LARGE).float().mean().item(),
        "psnr_opencv": psnr(warp(second, theirs), first),
        "psnr": psnr(warp(second, ours), first),
    }
    if flow is not None:
        figures |= {name: (f - flow).norm(dim=1).mean().item() for name, f in (("epe_opencv", theirs), ("epe", ours))}
    return figures


def row(size: Size, clip: str, preset: str, figures: dict[str, float]) -> list[str]:
    """The cells of `HEAD`."""
    digits = {"median": 3, "large": 1, "psnr_opencv": 2, "psnr": 2, "epe_opencv": 3, "epe": 3}
    values = [
        f"{figures[name] * (100 if name == 'large' else 1):.{d}f}" if name in figures else "-"
        for name, d in digits.items()
    ]
    return [f"{size[1]}x{size[0]}", clip, preset, *values]


def agreement(clips: list[Path], sizes: list[Size], presets: list[str], start: int, device: str) -> Iterator[list[str]]:
    """The table's rows, one after another."""
    for size in sizes:
        pairs = {"texture": moving_texture(size)} | {clip.stem: frame_pair(clip, start, size) for clip in clips}
        for (name, (first, second, *flow)), preset in itertools.product(pairs.items(), presets):
            yield row(size, name, preset, compare(first, second, preset, *flow, device=device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="video files")
    parser.add_argument("--frame", type=int, default=10, help="the first of both frames of each video")
    parser.add_argument("--sizes", default=SIZES, help="width x height, with commas between")
    parser.add_argument("--presets", default=",".join(PRESETS), help="with commas between")
    parser.add_argument("--device", default="cpu", help="of PyTorch")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of PyTorch and OpenCV")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2().setNumThreads(arguments.threads)
    try:
        sizes = [tuple(map(int, reversed(size.split("x")))) for size in arguments.sizes.split(",")]
        rows = agreement(arguments.clips, sizes, arguments.presets.split(","), arguments.frame, arguments.device)
        print(format_table([HEAD, *rows]))
    except (ValueError, OSError) as error:
        parser.error(str(error))
