"""Train a network: `python -m hdrweave.training train RECIPE --shards DIR --minutes M --out DIR`.

Writes checkpoints, log.jsonl and curve.png into --out, and at the end the weights with a manifest; with --install they go
into the package too. Ctrl-C stops after the current step; --resume continues from there. --further starts from the
package's weights instead of random ones; a --rate lower than the recipe's suits it. With --halfway the mean of the weights
before and after is kept (Wortsman et al. 2022): on new kinds of clips it is nearly as good as those after, on the old kinds
as those before.
"""

import argparse
import json
import math
import signal
from copy import deepcopy
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import torch
from torch import nn

from ...models import registry
from ..data.shards import ShardFolder
from ..evaluation.evaluate import VALIDATION, clip_folders, evaluate
from ..evaluation.methods import trained
from ..synthesis.synthesize import TEXTURES
from .recipe import Kept, Recipe
from .table import RECIPES, recipe_named
from .trainer import CHECKPOINT, PRECISIONS, Trainer


def part_of(network: nn.Module, kept: Kept) -> nn.Module:
    return attrgetter(kept.part)(network) if kept.part else network


def take_packaged(recipe: Recipe, network: nn.Module) -> None:
    """Load the package's weights into every network that the recipe keeps; parts that these lack stay as initialised.
    Raises OSError when the package lacks one of the networks, ValueError when it has another shape."""
    for kept in recipe.kept:
        packaged = registry.load(kept.name, architecture=kept.architecture)
        try:
            unexpected = part_of(network, kept).load_state_dict(packaged.state_dict(), strict=False).unexpected_keys
        except RuntimeError as error:
            raise ValueError(f"the package's {kept.name} has another shape than this recipe's: {error}") from error
        if unexpected:
            raise ValueError(
                f"the package's {kept.name} has {unexpected[0]!r}, which this recipe's lacks: train from nothing"
            )


def halfway(recipe: Recipe, network: nn.Module) -> nn.Module:
    """The mean of the package's weights and those of `network`, which is changed."""
    start = deepcopy(network)
    take_packaged(recipe, start)
    with torch.no_grad():
        for new, old in zip(network.parameters(), start.parameters(), strict=True):
            new.lerp_(old, 0.5)
    return network


def since(earlier: dict, facts: dict) -> dict:
    """Facts of weights that were trained further: commands, data and licences of both trainings, and the sums of their minutes
    and steps."""
    differ = ["licence"] if earlier["licence"] != facts["licence"] else []
    both = {name: f"{earlier[name]}, then {facts[name]}" for name in ("command", "data", *differ)}
    sums = {name: sum(one["figures"].get(name, 0) for one in (earlier, facts)) for name in ("minutes", "steps")}
    spent = {name: round(total, 1) for name, total in sums.items()}
    return {**facts, **both, "figures": {**facts["figures"], **spent}}


def keep(recipe: Recipe, network: nn.Module, folders: list, facts: dict, further: bool = False) -> None:
    """Register every network that the recipe keeps in each folder. facts: as `registry.register` takes them; those of packaged
    weights that the training started from are put first. further: as of `Kept.started_from`."""
    entries = [kept.started_from(further) for kept in recipe.kept]
    for kept, earlier in zip(recipe.kept, entries, strict=True):
        about = since(earlier, facts) if earlier else facts
        part = part_of(network, kept)
        for folder in folders:
            entry = registry.register(kept.name, part, kept.architecture, kept.parameters, folder, **about)
            print(f"{Path(folder) / entry['file']}: {entry['bytes'] / 1e6:.2f} MB, {entry['count']:,} parameters")


def validation_figures(recipe: Recipe, network: nn.Module) -> dict[str, float]:
    """PSNR in the mu-law domain, mean over the first clip of each split of the pack's validation set; empty where that set has
    not been made, or the network makes no pictures by itself."""
    if recipe.run is None or not VALIDATION.is_dir():
        return {}
    report, _ = evaluate(clip_folders(VALIDATION, None, 1), {recipe.name: trained(recipe.run, network.cpu())})
    return {"psnr_mu": round(report["methods"][recipe.name]["mean"]["inner"]["raw"]["psnr_mu"], 2)}


def describe_shards(folder) -> str:
    """Text for the metadata of weights: number and origin of the clips in a folder of shards."""
    shards = ShardFolder(folder)
    told = [shard.metadata() or {} for shard in shards.shards]
    scenes, textures = (
        sorted({name for one in told for name in json.loads(one.get(key, "[]"))}) for key in ("scenes", TEXTURES)
    )
    beside = f" and the textures {', '.join(textures)} of scikit-image" if textures else ""
    return f"{len(shards)} synthetic clips from {len(scenes)} scenes{beside}"


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help=f"what to train: {', '.join(RECIPES)}")
    parser.add_argument("--shards", required=True, help="folder of clips, see `synthesize`")
    parser.add_argument("--out", required=True, help="folder for the checkpoint, the log and the weights")
    parser.add_argument("--minutes", type=float, default=math.inf, help="time budget")
    parser.add_argument("--steps", type=int, default=math.inf, help="budget in steps, which repeats exactly on the CPU")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    parser.add_argument("--further", action="store_true", help="begin with the package's weights, not random ones")
    parser.add_argument("--halfway", action="store_true", help="with --further: keep the mean of start and end")
    parser.add_argument("--rate", type=float, help="peak learning rate, instead of the recipe's")
    parser.add_argument("--vgg", help="VGG-16 weights (torchvision's, as safetensors) for the paper's perceptual loss")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--precision", choices=("auto", *PRECISIONS), help="instead of the recipe's")
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    parser.add_argument("--install", action="store_true", help="put the weights into the package too")
    parser.add_argument("--licence", default="not stated", help="of the scenes, for the weights' metadata")
    return parser


def parse() -> argparse.Namespace:
    parser = options()
    arguments = parser.parse_args()
    if arguments.halfway and not arguments.further:
        parser.error("--halfway is between the package's weights and new ones: give --further too")
    return arguments


def command_of(arguments: argparse.Namespace) -> str:
    """The command without the folders of this machine."""
    budget = f"--minutes {arguments.minutes:g}" if math.isfinite(arguments.minutes) else f"--steps {arguments.steps}"
    task = f"{arguments.recipe} --shards SHARDS --out OUT"
    rate = "" if arguments.rate is None else f" --rate {arguments.rate:g}"
    start = (
        " --further" * arguments.further + " --halfway" * arguments.halfway + rate + " --vgg VGG" * bool(arguments.vgg)
    )
    return f"python -m hdrweave.training train {task} {budget} --seed {arguments.seed}{start}"


def main() -> None:
    arguments = parse()
    try:
        run(arguments)
    except (ValueError, OSError) as error:
        options().error(str(error))


def run(arguments: argparse.Namespace) -> None:
    """Train and register as the arguments say. Raises ValueError or OSError when they, or the files they name, do not do."""
    if not arguments.resume and (Path(arguments.out) / CHECKPOINT).is_file():
        raise ValueError(f"{arguments.out} holds a training: give --resume to continue it, or another --out")
    recipe = recipe_named(arguments.recipe, arguments.vgg)
    if arguments.rate is not None:
        recipe = replace(recipe, rate=arguments.rate)
    drawn = recipe.windows, recipe.crop, recipe.batch, arguments.seed, recipe.augmentation
    batches = recipe.batches(arguments.shards, *drawn)
    trainer = Trainer(
        recipe,
        batches,
        arguments.out,
        seconds=60 * arguments.minutes,
        steps=arguments.steps,
        seed=arguments.seed,
        device=arguments.device,
        precision=arguments.precision,
        workers=arguments.workers,
        further=arguments.further,
    )
    if arguments.further:
        for network in (trainer.network, trainer.average):
            take_packaged(recipe, network)
    if arguments.resume:
        trainer.resume()
    signal.signal(signal.SIGINT, lambda *_: setattr(trainer, "stopped", True))
    network = trainer.run()
    if trainer.spent() < 1:
        print(f"stopped at step {trainer.step}: continue with --resume")
        return
    if arguments.halfway:
        network = halfway(recipe, network)
    figures = {"steps": trainer.step, "minutes": round(trainer.elapsed / 60, 1)}
    figures.update(validation_figures(recipe, network))
    print(json.dumps(figures))
    folders = [arguments.out] + [registry.PACKAGED] * arguments.install
    facts = {"data": describe_shards(arguments.shards), "licence": arguments.licence, "figures": figures}
    keep(recipe, network, folders, {**facts, "command": command_of(arguments)}, arguments.further)
