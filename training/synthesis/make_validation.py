"""The validation set: `python -m hdrweave.training make_validation --scenes DIR --out DIR`.

Four splits of 8 clips: clean and degraded (noise, motion blur, 8 bit), two and three exposures; the same scenes and
motion in each. Give it scenes that no network was trained on. Seeds are fixed, so that two runs write the same clips.
--count makes fewer of them, and --size makes all of one size, to test methods on larger frames. --wild makes two other
splits, with cameras that deviate from their declared settings, and sharpened, compressed files, at ratios from 2 to 32.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from .camera_pipeline import apply_seeded_camera_pipeline
from .clip import PRESETS, SynthesisSettings, make_clip
from .clips import write_clip
from .scenes import SceneFolder

SCENES = 8
FIRST_SEED = 7_000_000
RATIOS = {2: ((8,), (8,), (8,), (8,), (8,), (4,), (16,), (8,)), 3: ((4, 4),) * 5 + ((3, 3), (2, 6), (4, 4))}
WILD_RATIOS = {
    2: ((2,), (4,), (6,), (8,), (12,), (16,), (24,), (32,)),
    3: ((2, 2), (3, 3), (4, 4), (2, 5), (5, 2), (6, 6), (3, 4), (4, 8)),
}
SIZES = ((448, 256),) * 6 + ((256, 136), (640, 360))


def clip_settings(preset: str, period: int, index: int) -> SynthesisSettings:
    """Settings of clip `index` of a split: size, number of frames, exposures, phase and amount of motion."""
    exposures = [1.0]
    for step in (WILD_RATIOS if preset == "wild" else RATIOS)[period][index]:
        exposures.append(exposures[-1] * step)
    width, height = SIZES[index]
    settings = replace(
        PRESETS[preset],
        width=width,
        height=height,
        frames=7 if period == 2 else 9,
        exposures=tuple(exposures),
        phase=index % period,
        objects=(1 + index % 3, 3 + index % 3),
        clipped=(0.1, 0.5),
    )
    if preset == "wild":
        return settings
    return replace(
        settings,
        read_noise=(1e-3, 3e-3),
        bits=(8,) if preset == "degraded" else (16,),
        response_error=0.0,
        balance_error=0.0,
        quality=None,
    )


def make_validation(
    scenes, out, count: int = SCENES, size: tuple[int, int] | None = None, presets=("clean", "degraded")
) -> None:
    """Write the validation set into folder `out`, from the .exr and .hdr files in folder `scenes`: the first `count`
    clips of every split, 1 to 8, all of `size` (width, height) where it is given."""
    scenes = SceneFolder(scenes)
    for preset in presets:
        for period in (2, 3):
            for index in range(count):
                settings = clip_settings(preset, period, index)
                if size:
                    settings = replace(settings, width=size[0], height=size[1])
                clip = make_clip(scenes, FIRST_SEED + index, settings, backdrop=index % len(scenes))
                if preset == "wild":
                    clip = apply_seeded_camera_pipeline(FIRST_SEED + index, clip)
                folder = Path(out) / f"{preset}_{period}exp" / f"scene_{index:02d}"
                write_clip(folder, clip)
                print(folder, f"{settings.width}x{settings.height}", clip.exposures.tolist(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", required=True, help="folder of .exr or .hdr files")
    parser.add_argument("--out", required=True, help="folder to make")
    parser.add_argument("--count", type=int, default=SCENES, choices=range(1, SCENES + 1), help="clips of each split")
    parser.add_argument("--size", help="WIDTHxHEIGHT of all clips, default: 448x256, one of 256x136 and one of 640x360")
    parser.add_argument("--wild", action="store_true", help="make the two wild splits, not the four of the set")
    arguments = parser.parse_args()
    size = tuple(map(int, arguments.size.split("x"))) if arguments.size else None
    presets = ("wild",) if arguments.wild else ("clean", "degraded")
    make_validation(arguments.scenes, arguments.out, arguments.count, size, presets)
