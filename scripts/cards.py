"""The pictures of the templates for a start, made anew from the packaged samples.

.engine/venv/bin/python scripts/cards.py [NUMBER …]   (all five by default; 4 and 5 run networks for some minutes on a CPU)
"""

import argparse
import sys
from pathlib import Path

import torch
from hdrweave import reconstruct
from hdrweave.stages.clip.load import read_clip
from hdrweave.stages.output.look import look
from hdrweave.stages.systems.table import BY_QUALITY
from PIL import Image
from thumbnail import label

WORKFLOWS = Path(__file__).resolve().parents[1] / "workflows"
TWO, THREE = ("sample_alternating.mp4", (1.0, 8.0)), ("sample_three_exposures.mp4", (1.0, 4.0, 16.0))
SIZE, LINE = (640, 360), 2  # of a card; pixels between its parts
# First frame, at the beginning of a period, and how many periods are read: enough for the neighbours of a frame.
START, PERIODS = 18, 3
NOISE = 0.012  # standard deviation that is added to code values for the card of night and noise


def captured(sample, start: int = START) -> torch.Tensor:
    """Code values (n,H,W,3) of some periods of a packaged sample."""
    name, exposures = sample
    return read_clip(WORKFLOWS / "assets" / name, start, PERIODS * len(exposures)).frames[:].float()


def middle(codes: torch.Tensor, sample, quality: str) -> torch.Tensor:
    """The HDR picture (H,W,3) in [0,1] of the longest exposure in the middle of a clip, by *Reconstruct HDR* with the method
    `quality`."""
    exposures = sample[1]
    hdr = reconstruct(codes, exposures=list(exposures), method=BY_QUALITY[quality])
    return look(hdr, frames=(longest(exposures),))[0][0]


def longest(exposures) -> int:
    """Index of the longest exposure in the period in the middle."""
    return PERIODS // 2 * len(exposures) + len(exposures) - 1


def noisy(codes: torch.Tensor) -> torch.Tensor:
    noise = torch.randn(codes.shape, generator=torch.Generator().manual_seed(0))
    return (codes + NOISE * noise).clamp(0, 1)


def before_and_after(codes: torch.Tensor, sample, quality: str) -> list[tuple[str, torch.Tensor]]:
    return [("captured", codes[longest(sample[1])]), ("HDR", middle(codes, sample, quality))]


def two_methods(codes: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    return [(quality, middle(codes, TWO, quality)) for quality in ("fast", "balanced")]


CARDS = {
    "1 HDR from an alternating clip": lambda: before_and_after(captured(TWO), TWO, "balanced"),
    "2 HDR from three exposures": lambda: before_and_after(captured(THREE), THREE, "balanced"),
    "3 HDR from a bracket of photos": lambda: [
        (f"photo {k + 1}", codes) for k, codes in enumerate(captured(THREE, 0)[:3])
    ],
    "4 HDR at night, noise": lambda: before_and_after(noisy(captured(TWO)), TWO, "balanced"),
    "5 Compare methods": lambda: two_methods(captured(TWO)),
}


def card(parts: list[tuple[str, torch.Tensor]]) -> Image.Image:
    """Pictures (H,W,3) of one scene side by side, each showing its own part of the frame, with their names."""
    width, height = SIZE
    whole = Image.new("RGB", SIZE, "white")
    for k, (words, picture) in enumerate(parts):
        pixels = (255 * picture.clamp(0, 1)).round().to(torch.uint8).numpy()
        left, right = (width * edge // len(parts) for edge in (k, k + 1))
        strip = Image.fromarray(pixels).resize(SIZE, Image.Resampling.LANCZOS)
        left += LINE * (k > 0)
        whole.paste(strip.crop((left, 0, right, height)), (left, 0))
        label(whole, words, left, 0)
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", help="of the templates, such as 1 3")
    numbers = parser.parse_args().numbers
    chosen = [name for name in CARDS if not numbers or name.split()[0] in numbers]
    if not chosen:
        sys.exit(f"no template has the number {', '.join(numbers)}: choose from 1 to {len(CARDS)}")
    for name in chosen:
        card(CARDS[name]()).save(WORKFLOWS / f"{name}.jpg", quality=88)
        print(f"{name}.jpg")


if __name__ == "__main__":
    main()
