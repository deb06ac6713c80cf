"""Every recipe by its name: what it trains can be written, and found again by what comes after it."""

import pytest
from hdrweave.models import registry
from hdrweave.training.data.batches import Batches
from hdrweave.training.recipes.collaborative_fusion import AnchoredBatches
from hdrweave.training.recipes.perceptual import PerceptualLoss
from hdrweave.training.recipes.sequence_refinement import SequenceBatches
from hdrweave.training.recipes.table import PERCEPTUAL, RECIPES, recipe_named
from hdrweave.training.recipes.train import keep
from vgg_file import write_vgg


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


def test_only_those_with_a_perceptual_loss_take_vgg_weights(tmp_path):
    write_vgg(tmp_path / "vgg.safetensors")
    assert len(PERCEPTUAL) == 2
    for name in RECIPES:
        if name in PERCEPTUAL:
            recipe = recipe_named(name, str(tmp_path / "vgg.safetensors"))
            assert recipe.perceptual and not recipe_named(name).perceptual
            assert any(isinstance(told, PerceptualLoss) for told in recipe.loss.keywords.values())
        else:
            with pytest.raises(
                ValueError, match=f"{name}.* has no perceptual loss, only {' and '.join(PERCEPTUAL)} do"
            ):
                recipe_named(name, str(tmp_path / "vgg.safetensors"))
    with pytest.raises(OSError, match="needs VGG-16 weights"):
        recipe_named("dealthdr", "missing.safetensors")
