"""Everything that is done to train and to measure networks, one command: `python -m hdrweave.training VERB [options]`."""

import importlib
import sys

VERBS = {
    "synthesize": "synthesis.synthesize",
    "make_sample": "synthesis.make_sample",
    "make_validation": "synthesis.make_validation",
    "shard_flow": "data.shard_flow",
    "shard_noise": "data.shard_noise",
    "first_pass": "data.first_pass",
    "prepare": "recipes.prepare",
    "train": "recipes.train",
    "ablation": "recipes.ablation",
    "systems": "evaluation.systems",
    "evaluate": "evaluation.evaluate",
    "evaluate_flow": "evaluation.evaluate_flow",
    "evaluate_vote": "evaluation.evaluate_vote",
    "evaluate_location": "evaluation.evaluate_location",
    "evaluate_adaptation": "evaluation.evaluate_adaptation",
    "sensitivity": "evaluation.sensitivity",
    "benchmark": "evaluation.benchmark",
    "real_clips": "evaluation.real_clips",
    "detect_real": "evaluation.detect_real",
    "dis_agreement": "evaluation.dis_agreement",
    "seams": "evaluation.seams",
}
"""Each verb and the module of this package whose `main` it calls."""


def usage() -> str:
    """The verbs, a line each with the first words of its module."""
    lines = ["python -m hdrweave.training VERB [options]; VERB --help says more.", ""]
    for verb, module in VERBS.items():
        summary = (importlib.import_module(f".{module}", __package__).__doc__ or "").splitlines()[0]
        lines.append(f"  {verb:20} {summary.split(': `python -m')[0].rstrip('.:')}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run one verb. Exits with the list of verbs when none, or an unknown one, is given."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    verb, *rest = arguments
    if verb not in VERBS:
        sys.exit(f"verb {verb!r} is unknown: choose one of {', '.join(VERBS)}")
    sys.argv = [f"python -m hdrweave.training {verb}", *rest]
    importlib.import_module(f".{VERBS[verb]}", __package__).main()


if __name__ == "__main__":
    main()
