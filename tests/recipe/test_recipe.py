"""Recipes: read from specs, and every option on a definition."""

from __future__ import annotations

import re

import pytest
import torch
from conftest import ROOT

import archdsl
from archdsl.frontend import read_models
from archdsl.layers.definition import fields_of
from archdsl.recipe import (
    OPTIONS,
    Recipe,
    RecipeOption,
    RecipeRole,
    augmentations,
    averages,
    optimizers,
    schedules,
)
from archdsl.recipe.losses import CrossEntropy, MeanSquaredError
from archdsl.text.diagnostics import ArchError
from archdsl.text.source import Source

DEFINITIONS = [
    definition for definitions in OPTIONS.values() for definition in definitions.values()
]


def recipe_of(text: str) -> Recipe:
    recipe = archdsl.parse(f"fc 10; {text}", input="28x28x1").recipe
    assert recipe is not None
    return recipe


def test_a_recipe_is_read_whole() -> None:
    recipe = recipe_of(
        """train {
          data imagenet; batch 128; epochs 90
          augment random_crop hflip color_pca strength=0.2
          sgd lr=0.01 momentum=0.9 weight_decay=0.0005
          schedule steps 30 60 80 factor=0.1
          loss cross_entropy smoothing=0.1
          ema decay=0.99; clip 2.5; patience 7
        }"""
    )
    assert recipe == Recipe(
        "imagenet",
        128,
        90,
        (
            augmentations.RandomCrop(),
            augmentations.HorizontalFlip(),
            augmentations.ColorPCA(strength=0.2),
        ),
        optimizers.SGD(lr=0.01, momentum=0.9, weight_decay=0.0005),
        (schedules.Steps((30, 60, 80), 0.1),),
        CrossEntropy(0.1),
        averages.ExponentialMovingAverage(decay=0.99),
        2.5,
        7,
    )


def test_outputs_with_names_have_losses_of_their_own() -> None:
    """In the order of the first line, whichever is written first; an output may be named `mse`."""
    text = "a: fc 10; mse: fc 10; train {{ {} }}"
    model = archdsl.parse(
        f"network N: 8 → (mse: 10, a: 10) {{ {text.format('loss a mse; loss mse mse weight=2')} }}"
    )
    recipe = model.recipe
    assert recipe is not None
    assert recipe.losses == (("mse", MeanSquaredError(weight=2.0)), ("a", MeanSquaredError()))
    assert [recipe.loss_of(name) for name in ("a", "mse", "b")] == [
        MeanSquaredError(),
        MeanSquaredError(weight=2.0),
        None,
    ]
    alone = archdsl.parse(f"network N: 8 → (mse: 10, a: 10) {{ {text.format('loss mse')} }}").recipe
    assert alone == Recipe(loss=MeanSquaredError())
    assert alone.loss_of("a") == alone.loss_of("mse") == MeanSquaredError()


def test_what_is_not_said_has_a_default() -> None:
    assert recipe_of("train { loss mse }") == Recipe(loss=MeanSquaredError())
    assert archdsl.parse("fc 10", input="8x8x1").recipe is None


def test_values_and_blocks_around_are_seen() -> None:
    assert recipe_of("let n = 4; train { batch n; epochs (2 * n) }").epochs == 8


def test_a_member_replaces_the_recipe_of_its_family() -> None:
    text = """
    network F(n): 8x8x1 → 10 { fc n; fc 10; train { epochs 5; batch 8 } }
    network A = F(4)
    network B = F(8) { expect weight_layers = 2; train { epochs 7 } }
    """
    a, b = read_models(Source(text))
    assert (a.recipe.epochs, a.recipe.batch) == (5, 8)
    assert (b.recipe.epochs, b.recipe.batch) == (7, 64)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_definition_is_complete(definition: type[RecipeOption]) -> None:
    """Each word reads its own example, and the language definition names it."""
    assert definition.__doc__
    assert all(item.role.doc for item in fields_of(definition))
    optimizer = "" if definition.role is RecipeRole.OPTIMIZER else "sgd momentum=0.9; "
    recipe = recipe_of(f"train {{ {optimizer}{definition.example} }}")
    said = [recipe.optimizer, recipe.loss, *recipe.schedule, *recipe.augment, recipe.average]
    assert definition in {type(word) for word in said}
    assert f"`{definition.name}`" in (ROOT / "docs" / "language.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("steps 2 4 factor=0.1", [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("every 2 factor=0.5", [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ("cosine", [1, 0.933013, 0.75, 0.5, 0.25, 0.066987]),
        ("warmup 3", [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("plateau", [1, 1, 1, 1, 1, 1]),
    ],
)
def test_schedules_by_hand(text: str, rates: list[float]) -> None:
    (schedule,) = recipe_of(f"train {{ schedule {text} }}").schedule
    found = [schedule.factor_at(epoch, 6) for epoch in range(6)]
    assert found == pytest.approx(rates, rel=1e-5)


def test_schedules_in_a_row_multiply() -> None:
    warmup, cosine = recipe_of("train { schedule warmup 2 cosine }").schedule
    assert warmup.factor_at(0, 4) * cosine.factor_at(0, 4) == 0.5


@pytest.mark.parametrize("total", [1, 2, 3, 7, 10, 40])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.95])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_onecycle_is_pytorchs(total: int, share: float, name: str) -> None:
    definition = schedules.OneCycle(pct_start=share, div_factor=20.0, final_div_factor=50.0)
    weights = [torch.zeros(1, requires_grad=True)]
    optimizer = torch.optim.SGD(weights, 0.1, 0.9) if name == "SGD" else torch.optim.Adam(weights)
    try:
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 0.1, total, pct_start=share, div_factor=20.0, final_div_factor=50.0
        )
    except ZeroDivisionError:  # where the rate has one step to rise in
        assert definition.factor_at_step(0, total) == 1.0
        return
    for step in range(total):
        group = optimizer.param_groups[0]
        assert 0.1 * definition.factor_at_step(step, total) == pytest.approx(group["lr"], abs=1e-12)
        momentum = group["betas"][0] if name == "Adam" else group["momentum"]
        assert definition.momentum_at_step(step, total) == pytest.approx(momentum)
        optimizer.step()
        if step < total - 1:
            cycle.step()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sgd; schedule onecycle", "`onecycle` changes the momentum, but `sgd` has none"),
        ("rmsprop; schedule onecycle", "`onecycle` changes the momentum, but `rmsprop` has none"),
        ("schedule warmup 2 plateau", "`plateau` cannot be combined with another schedule"),
        (
            "sgd momentum=0.9; schedule onecycle cosine",
            "`onecycle` cannot be combined with another schedule",
        ),
        (
            "augment randaugment magnitude=31",
            "`magnitude` of `randaugment` must be a whole number from 0 to 30",
        ),
        ("ema decay=1", "`decay` of `ema` must be a rate of at least 0 and below 1"),
        ("ema ema", "a recipe has one average"),
        ("clip 0", "`clip` must be a number above 0"),
        ("patience 0.5", "`patience` must be a whole number of at least 1"),
        ("patience 2; patience 3", "the recipe gives its patience twice"),
        ("augment mixup alpha=0", "`alpha` of `mixup` must be a number above 0"),
    ],
)
def test_what_a_recipe_cannot_mean(text: str, said: str) -> None:
    with pytest.raises(ArchError, match=re.escape(said)):
        recipe_of(f"train {{ {text} }}")


def test_onecycle_goes_with_what_has_a_momentum() -> None:
    for text in ("sgd momentum=0.5", "rmsprop momentum=0.5", "adam", "adamw", ""):
        assert recipe_of(f"train {{ {text}; schedule onecycle }}").schedule[0].is_stepwise


def test_roles_are_all_in_use() -> None:
    assert all(OPTIONS[role] for role in RecipeRole)
