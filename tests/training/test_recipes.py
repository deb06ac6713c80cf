"""Every recipe by its name: what it trains can be written, and found again by what comes after it."""

import pytest
from hdrweave.models import registry
from hdrweave.training.data import Batches
from hdrweave.training.location import AnchoredBatches
from hdrweave.training.recipes import RECIPES, recipe_named
from hdrweave.training.sequence import SequenceBatches
from hdrweave.training.train import keep


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_keeps_is_loaded_by_its_name(name, tmp_path, capsys):
    recipe = recipe_named(name)
    assert recipe.name == name
    facts = dict(data="none", licence="CC0", command="none", figures={})
    keep(recipe, recipe.build(), [tmp_path], facts)
    for kept in recipe.kept:
        registry.load(kept.name, [tmp_path], kept.architecture)


def test_who_learns_on_more_than_windows_says_so():
    own = {name: made for name in RECIPES if (made := recipe_named(name).batches) is not Batches}
    assert own == {"sequence_refinement": SequenceBatches, "collaborative_fusion": AnchoredBatches}
