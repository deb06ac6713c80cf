"""The picture of a workflow in the template browser: the HDR result above the captured exposures it was made from."""

from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

WIDTH, GAP, PLACE = 640, 6, 0.6  # pixels; where in the clip


def thumbnail(clip: Path, result: Path, target: Path) -> None:
    """Write `target` (jpg) from the captured video `clip` and the tone-mapped video `result` of the same frames."""
    captured, display = _frames(clip), _frames(result)
    index, period = int(PLACE * len(display)), 3 if "three" in target.stem else 2
    top = _scaled(display[index], WIDTH)
    small = [_scaled(f, (WIDTH - GAP * (period - 1)) // period) for f in captured[index : index + period]]
    picture = Image.new("RGB", (WIDTH, top.height + GAP + small[0].height), "#14171c")
    picture.paste(top, (0, 0))
    label(picture, "HDR", 0, 0)
    for k, frame in enumerate(small):
        x = k * (frame.width + GAP)
        picture.paste(frame, (x, top.height + GAP))
        label(picture, "captured", x, top.height + GAP)
    picture.save(target, quality=88)


def _frames(path: Path) -> list[Image.Image]:
    with av.open(str(path)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def _scaled(frame: Image.Image, width: int) -> Image.Image:
    return frame.resize((width, round(frame.height * width / frame.width)), Image.Resampling.LANCZOS)


def label(picture: Image.Image, words: str, x: int, y: int) -> None:
    draw, font = ImageDraw.Draw(picture, "RGBA"), ImageFont.load_default(16)
    box = draw.textbbox((x + 10, y + 8), words, font)
    draw.rectangle((box[0] - 5, box[1] - 4, box[2] + 5, box[3] + 4), fill=(20, 23, 28, 190))
    draw.text((x + 10, y + 8), words, "white", font)
