"""The validation set: `python -m hdrweave.training make_validation --scenes DIR --out DIR`.

Four splits of 8 clips: clean and degraded (noise, motion blur, 8 bit), two and three exposures; the same scenes and
motion in each. Give it scenes that no network was trained on. Seeds are fixed, so that two runs write the same clips.
--count makes fewer of them, and --size makes all of one size, to test methods on larger frames. --wild makes two other
splits, with cameras that deviate from their declared settings, and sharpened, compressed files, at ratios from 2 to 32.
--photos PATH ... makes eight splits of sharp photographs at their natural size, with scikit-image's where it is installed:
two and three exposures at four levels of noise, the same scenes and motion in each.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from .camera_pipeline import apply_seeded_camera_pipeline
from .clip import make_clip
from .clips import write_clip
from .photographs import compose_photographs, photographs
from .scenes import SceneFolder
from .settings import PRESETS, SynthesisSettings

SCENES = 8
SCENES_FILE = "scenes.json"  # in the folder of a set: the names of the files that it was made of
FIRST_SEED = 7_000_000
RATIOS = {2: ((8,), (8,), (8,), (8,), (8,), (4,), (16,), (8,)), 3: ((4, 4),) * 5 + ((3, 3), (2, 6), (4, 4))}
WILD_RATIOS = {
    2: ((2,), (4,), (6,), (8,), (12,), (16,), (24,), (32,)),
    3: ((2, 2), (3, 3), (4, 4), (2, 5), (5, 2), (6, 6), (3, 4), (4, 8)),
}
SIZES = ((448, 256),) * 6 + ((256, 136), (640, 360))
# Read noise (standard deviation), shot noise (variance at full scale) and bits of a sensor of 50,000 electrons at about
# ISO 100, 1600 and 25,600; without noise, the code values are stored as exactly as files allow.
NOISE = {"none": (0.0, 0.0, 16), "low": (5e-4, 2e-5, 10), "middle": (1.5e-3, 3.2e-4, 10), "high": (1e-2, 5e-3, 8)}


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
    clips of every split, 1 to 8, all of `size` (width, height) where it is given; their names go into SCENES_FILE."""
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
    (Path(out) / SCENES_FILE).write_text(json.dumps(scenes.names, indent=1), encoding="utf-8")


def photograph_settings(noise: str, period: int, index: int) -> SynthesisSettings:
    """Settings of the photographic clip `index` at the level `noise` of NOISE."""
    read, shot, bits = NOISE[noise]
    exposures = [1.0]
    for step in RATIOS[period][index % SCENES]:
        exposures.append(exposures[-1] * step)
    return replace(
        PRESETS["clean"],
        width=448,
        height=256,
        frames=7 if period == 2 else 9,
        exposures=tuple(exposures),
        phase=index % period,
        objects=(1, 3),
        lens_blur=(0.0, 0.0),
        clipped=(0.1, 0.5),
        read_noise=(read or 1e-9, read or 1e-9),
        shot_noise=(shot, shot) if shot else None,
        bits=(bits,),
    )


def make_photographs(
    paths, out, count: int | None = None, size: tuple[int, int] | None = None, levels=tuple(NOISE)
) -> None:
    """Write the splits photos_<noise>_<2|3>exp into folder `out`: one clip of each photograph in `paths` and of
    scikit-image, or of the first `count`."""
    scenes = photographs(paths)
    for noise in levels:
        for period in (2, 3):
            for index, scene in enumerate(scenes[:count]):
                settings = photograph_settings(noise, period, index)
                if size:
                    settings = replace(settings, width=size[0], height=size[1])
                clip = make_clip(scenes, FIRST_SEED + 100 + index, settings, index, compose_photographs)
                folder = Path(out) / f"photos_{noise}_{period}exp" / f"scene_{index:02d}"
                write_clip(folder, clip)
                print(folder, scene.name, clip.exposures.tolist(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--scenes", help="folder of .exr or .hdr files, panoramas for one")
    source.add_argument(
        "--photos", nargs="+", help="folders or files of sharp HDR photographs: makes their splits instead"
    )
    parser.add_argument("--out", required=True, help="folder to make")
    parser.add_argument("--count", type=int, choices=range(1, SCENES + 1), help="clips of each split, default all")
    parser.add_argument("--size", help="WIDTHxHEIGHT of all clips, default: 448x256, one of 256x136 and one of 640x360")
    parser.add_argument("--wild", action="store_true", help="make the two wild splits, not the four of the set")
    arguments = parser.parse_args()
    size = tuple(map(int, arguments.size.split("x"))) if arguments.size else None
    if arguments.photos:
        make_photographs(arguments.photos, arguments.out, arguments.count, size)
        return
    presets = ("wild",) if arguments.wild else ("clean", "degraded")
    make_validation(arguments.scenes, arguments.out, arguments.count or SCENES, size, presets)
