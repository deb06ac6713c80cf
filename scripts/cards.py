"""Make the pictures on the cards of the compact templates anew, without an engine: two halves of one frame of the sample.

.engine/venv/bin/python scripts/cards.py
"""

from pathlib import Path

import hdrweave
import numpy as np
from hdrweave.stages.clip.load import read_clip
from PIL import Image
from thumbnail import WIDTH, label

FOLDER = Path(__file__).parents[1] / "workflows"
FRAMES, LONG, SHORT = 8, 5, 4  # read, and which are shown
RATIO = 8  # of the sample's exposures


def shown(light: np.ndarray, stops: float = 0.0) -> np.ndarray:
    """Radiance (H,W,3) on the scale of the long exposure as 8-bit code values, highlights compressed by a shoulder."""
    x = np.maximum(light * RATIO * 2.0**stops, 0)
    return (255 * ((x * (1 + x / 16)) / (1 + x)) ** (1 / 2.2)).clip(0, 255).astype(np.uint8)


def halves(left: np.ndarray, right: np.ndarray, words: tuple[str, str], target: Path) -> None:
    """Write `target` (jpg): the left half of one picture and the right half of the other, with a line between."""
    middle = left.shape[1] // 2
    joined = np.concatenate((left[:, : middle - 1], np.full_like(left[:, :2], 255), right[:, middle + 1 :]), 1)
    picture = Image.fromarray(joined).resize((WIDTH, round(WIDTH * left.shape[0] / left.shape[1])))
    label(picture, words[0], 0, 0)
    label(picture, words[1], WIDTH // 2, 0)
    picture.save(target, quality=88)


def main() -> None:
    codes = read_clip(FOLDER / "assets" / "sample_alternating.mp4", count=FRAMES).frames[:].numpy()
    fast, balanced = (hdrweave.reconstruct(codes, [1, RATIO], name) for name in ("classical", "f2hdr_refined"))
    captured = (255 * codes).astype(np.uint8)
    noisy = shown(codes[SHORT] ** 2.2, 3)  # the short exposure, brought up: its noise is seen
    halves(captured[LONG], shown(balanced[LONG]), ("captured", "HDR"), FOLDER / "1 HDR from an alternating clip.jpg")
    halves(noisy, shown(balanced[SHORT], 3), ("captured", "HDR"), FOLDER / "4 HDR at night, noise.jpg")
    part = np.s_[60:240, 240:560]
    pair = shown(fast[LONG], -1)[part], shown(balanced[LONG], -1)[part]
    halves(*pair, ("fast", "balanced"), FOLDER / "5 Compare methods.jpg")


if __name__ == "__main__":
    main()
