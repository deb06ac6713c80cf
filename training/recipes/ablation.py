"""Ablation study of a paper in the paper's order, every variant trained on the same short budget:

python -m hdrweave.training ablation f2hdr --shards DIR --out DIR --minutes 10 [--clips DIR]

The table begins with the frame alone, an unaligned merge and the classical pipeline. A budget in --steps does not
depend on what else the machine does, but hides what a variant costs. Variants that --out holds already are not trained
again; those of other shards or settings, or of a longer budget, are refused. The last variant is trained twice, with
another seed: the difference is what chance does at this budget.
"""

import argparse
import re
from pathlib import Path

import torch
from torch import nn

from ...hdr.cv import cv2
from ..evaluation.evaluate import clip_folders, device_named, evaluate, validation_set, write_report
from ..evaluation.methods import Method, chosen_methods, trained
from ..evaluation.report import tables
from .recipe import Recipe
from .table import ABLATIONS
from .trainer import CHECKPOINT, Trainer
from .variants import Variant

BASELINES = ("reference", "unaligned", "classical")  # that an ablation is compared with


def train(recipe: Recipe, shards, out: Path, budget: dict[str, float], seed: int, device: str) -> nn.Module:
    """The averaged network after a budget of `seconds` or `steps`; taken up again where an interruption left it.

    Raises ValueError when `out` holds another training, or more of this one.
    """
    batches = recipe.batches(shards, recipe.windows, recipe.crop, recipe.batch, seed, recipe.augmentation)
    trainer = Trainer(recipe, batches, out, seed=seed, device=device, **budget)
    if (out / CHECKPOINT).exists():
        trainer.resume()
        if trainer.spent() > 1.1:  # a budget in seconds ends with the step that passes it
            raise ValueError(f"{out} was trained on more than this budget: give another --out")
    return trainer.run()


def folder_name(variant: str) -> str:
    """A variant's name in small letters, digits and dashes: "+ stage II" is stage-ii."""
    return "-".join(re.findall("[a-z0-9]+", variant.lower()))


def train_variants(
    variants: list[Variant], shards, out: Path, budget: dict[str, float], device: str = "cpu"
) -> dict[str, Method]:
    """Train every variant, and the last one twice, on the same budget, see `train`: the trained methods by name."""
    seeds = [(variant.name, variant, 0) for variant in variants] + [(f"{variants[-1].name} (again)", variants[-1], 1)]
    methods = {}
    for name, variant, seed in seeds:
        print(name, flush=True)
        network = train(variant.recipe, shards, out / folder_name(name), budget, seed, device)
        methods[name] = trained(variant.recipe.run, network)
    return methods


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ablation", choices=ABLATIONS)
    parser.add_argument("--shards", required=True, help="folder of clips, see `synthesize`")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and result.json")
    parser.add_argument("--minutes", type=float, default=10, help="for each variant")
    parser.add_argument("--steps", type=int, help="for each variant, in place of minutes")
    parser.add_argument("--clips", help="folder of clips to evaluate on, in place of the validation set")
    parser.add_argument("--limit", type=int, help="clips of each split, default all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=device_named, default="cpu", help="of the variants: cpu, cuda or mps")
    arguments = parser.parse_args()
    budget = {"steps": arguments.steps} if arguments.steps is not None else {"seconds": 60 * arguments.minutes}
    torch.set_num_threads(arguments.threads)
    cv2().setNumThreads(arguments.threads)
    try:
        variants = ABLATIONS[arguments.ablation].variants()
        folders = clip_folders(arguments.clips or validation_set(None), None, arguments.limit)
        methods = chosen_methods(",".join(BASELINES), arguments.device)
        methods |= train_variants(variants, arguments.shards, arguments.out, budget, arguments.device)
        report, _ = evaluate(folders, methods, device=arguments.device)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print("\n" + tables(report))
    write_report(arguments.out / "result.json", report)
    if report["failed"]:
        parser.exit(1, f"{len(report['failed'])} clips are not evaluated, see above\n")
