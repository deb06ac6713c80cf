"""Training data for a recipe: synthetic clips, and precomputed flow and first passes beside them.

python -m hdrweave.training prepare RECIPE --scenes DIR --out DIR

The recipe determines the number of frames of a clip and the precomputed files. Recipes with the same number of frames
share their clips, in the folder OUT/clips_of_FRAMES, whose name is printed last; existing files are used again.
"""

import argparse
from pathlib import Path

from ..data import first_pass, shard_flow, shard_noise
from ..data.precomputed import for_each_shard
from ..synthesis.synthesize import make_shards
from .recipe import Recipe
from .table import RECIPES, recipe_named

SEED = 1_000_000  # of the first clip
SIZE = {"width": 256, "height": 192}
COUNT, COUNT_LONG, SHORT = 2400, 576, 5  # clips, and where these have more frames than SHORT


def frames_of(recipe: Recipe) -> int:
    """Number of frames that a clip needs for all windows of a recipe."""
    return max(window.frames for window in recipe.windows.values())


def flows_of(recipe: Recipe) -> list[str]:
    """Suffixes of the files with estimated flow that a recipe reads, see `data.shard_flow`."""
    windows = recipe.windows.values()
    near = sorted({window.base for window in windows if window.base})
    return near + [shard_flow.PERIOD_SUFFIX] * any(window.far for window in windows)


def prepare(recipe: Recipe, scenes: str, out: Path, count: int | None = None, workers: int = 2) -> Path:
    """Make the training data of a recipe; returns the folder of its clips. scenes: folder of panoramas. Raises ValueError when
    the folder holds more shards than these, see `make_shards`."""
    frames = frames_of(recipe)
    shards = out / f"clips_of_{frames}"
    count = count or (COUNT if frames <= SHORT else COUNT_LONG)
    make_shards(scenes, str(shards), "mixed", SEED, count, workers, {**SIZE, "frames": frames})
    for suffix in flows_of(recipe):
        for_each_shard(shards, workers, shard_flow.add_to_shard, suffix)
    if any(window.noise for window in recipe.windows.values()):
        for_each_shard(shards, workers, shard_noise.add_to_shard)
    for method in recipe.first_passes:
        for_each_shard(shards, workers, first_pass.add_to_shard, method)
    return shards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=RECIPES, metavar="RECIPE", help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("--scenes", required=True, help="folder of .exr or .hdr files, and ordinary video")
    parser.add_argument("--out", type=Path, required=True, help="folder for the folder of clips")
    parser.add_argument(
        "--count", type=int, help=f"clips, default {COUNT}, or {COUNT_LONG} of more than {SHORT} frames"
    )
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    recipe = recipe_named(arguments.recipe)
    try:
        print(prepare(recipe, arguments.scenes, arguments.out, arguments.count, arguments.workers))
    except (ValueError, OSError) as error:
        parser.error(str(error))
