"""Training networks whose outputs have names: a loss for each, or for some of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from oracle import build
from runs import run
from safetensors.torch import load_file
from torch import nn

import archdsl
from archdsl.cli.commands import commands
from archdsl.model.memory import estimate_memory
from archdsl.recipe import Recipe
from archdsl.train.errors import TrainError
from archdsl.train.options import TrainOptions
from archdsl.train.run import train_model
from archdsl.train.task import Classification, objectives_of

TEXT = """
network Exits: 16x16x1 → (early: 4, late: 4, code: 8) {{
  a: conv 3x3 8 same relu
  early: {{ gap; fc 4 softmax }}
  a; maxpool 2; conv 3x3 8 same relu
  code: {{ gap; fc 8 }}
  late: fc 4
  train {{ batch 16; epochs 2; sgd lr=0.1; {} }}
}}
"""
NAMED = TEXT.format("loss late cross_entropy smoothing=0.1; loss early mse weight=0.5")


def test_the_losses_of_named_outputs_are_weighted() -> None:
    model = archdsl.parse(NAMED)
    recipe = model.recipe
    assert recipe is not None
    task = Classification(recipe, 4, objectives=objectives_of(model, recipe))
    torch.manual_seed(0)
    labels = torch.randint(4, (6,))
    early, late, code = torch.rand(6, 4), torch.randn(6, 4), torch.randn(6, 8)
    expected = 0.5 * nn.functional.mse_loss(early, nn.functional.one_hot(labels, 4).float())
    expected = expected + nn.functional.cross_entropy(late, labels, label_smoothing=0.1)
    for found, hits in (
        task.measure((early, late, code), labels),
        (
            task.score((early, late, code), labels)[0] / 6,
            task.score((early, late, code), labels)[1],
        ),
    ):
        torch.testing.assert_close(found, expected)
        assert hits == (early.argmax(1) == labels).sum()  # the first of the network's first line


def test_a_loss_without_a_name_is_that_of_each_output() -> None:
    model = archdsl.parse(
        TEXT.format("loss mse").replace("code: 8", "code: 4").replace("fc 8", "fc 4")
    )
    recipe = model.recipe
    assert recipe is not None
    assert [
        (t.index, t.loss.name, t.gives_probabilities) for t in objectives_of(model, recipe)
    ] == [
        (0, "mse", True),
        (1, "mse", False),
        (2, "mse", False),
    ]


def test_a_run_trains_what_has_a_loss_and_says_the_class(tmp_path: Path) -> None:
    """What nothing is asked of stays as it was; the rest learns."""
    text = TEXT.format("loss late cross_entropy")
    model = archdsl.parse(text)
    assert model.recipe is not None
    outcome = run(model, tmp_path, replace(model.recipe, data="fake:64"))
    facts = json.loads(outcome.run.facts.read_text("utf-8"))
    assert (facts["classified"], facts["gives_probabilities"], facts["output"]) == (
        "late",
        False,
        [4],
    )
    assert facts["recipe"]["losses"] == {
        "late": {"name": "cross_entropy", "smoothing": 0.0, "weight": None}
    }
    trained = load_file(outcome.run.weights)
    torch.manual_seed(0)
    start = build(model).state_dict()
    before = {key: value for key, value in start.items() if key.startswith("early")}
    assert before
    assert {key for key in trained if key.startswith("early")} == set(before)
    done = CliRunner().invoke(commands, ["evaluate", str(outcome.run.folder)])
    assert done.exit_code == 0, done.output
    found = json.loads((outcome.run.folder / "evaluation.json").read_text("utf-8"))
    assert found["top1"] == pytest.approx(outcome.metrics["val_top1"])


def test_gradients_reach_what_has_a_loss_alone() -> None:
    model = archdsl.parse(TEXT.format("loss late cross_entropy"))
    assert model.recipe is not None
    network = build(model)
    task = Classification(model.recipe, 4, objectives=objectives_of(model, model.recipe))
    loss, _ = task.measure(network(torch.randn(2, 1, 16, 16)), torch.tensor([1, 3]))
    loss.backward()
    idle = {name for name, p in network.named_parameters() if p.grad is None}
    assert idle == {"early.2.weight", "early.2.bias"}


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ("loss mse", "`code` of Exits tells 8 classes apart, fake:64 has 4"),
        ("loss a mse", "`a` of Exits is 16x16x8; training needs one number per class"),
    ],
)
def test_outputs_that_say_no_class_are_refused(losses: str, said: str) -> None:
    text = TEXT.format(losses)
    if losses == "loss a mse":
        text = text.replace("code: 8)", "code: 8, a: 16x16x8)")
    model = archdsl.parse(text)
    recipe = replace(model.recipe or Recipe(), data="fake:64")
    with pytest.raises(TrainError, match=said):
        train_model(model, archdsl.compile(model), recipe, TrainOptions())


def test_memory_counts_the_losses_that_are_given() -> None:
    """The one-hot vectors of an output, and its own numbers for the backward pass."""
    both, one = (
        estimate_memory(archdsl.parse(TEXT.format(losses)), batch=1).activations
        for losses in ("loss late mse; loss early mse", "loss late mse")
    )
    assert both > one
