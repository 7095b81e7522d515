"""Runs that begin with the weights of another network, and what stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from runs import run, write_spec
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import archdsl
from archdsl.cli.commands import commands
from archdsl.recipe import Recipe, optimizers
from archdsl.train.errors import TrainError
from archdsl.train.folder import RunFolder
from archdsl.train.loop import TrainingLoop
from archdsl.train.transfer import SourceWeights, freeze, read_source, take_weights

pytestmark = pytest.mark.filterwarnings("ignore")

NET = """
network Net: 16x16x1 → {} {{
  stem: {{ conv 3x3 4 same; bn; relu; maxpool 4 }}
  body: {{ conv 3x3 4 same; bn; relu; dropout 0.1 }}
  fc 4 relu; fc {}
}}
"""
#: Other names, and a layer with as many outputs as there are classes.
OTHER = """
network Other: 16x16x1 → {} {{
  a: {{ conv 3x3 4 same; bn; relu; maxpool 4 }}; b: {{ conv 3x3 4 same; bn; relu; dropout 0.1 }}
  fc 4 relu; fc {}
}}
"""
RECIPE = Recipe("fake:32", 8, 2, optimizer=optimizers.AdamW(lr=0.01, weight_decay=0.1))


def net(classes: int, text: str = NET) -> Any:
    return archdsl.parse(text.format(classes, classes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tells four classes apart."""
    return run(net(4), tmp_path_factory.mktemp("trained"), RECIPE).run.folder


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(RunFolder(folder).last_weights)


def begun_with(folder: Path, model: Any, **flags: Any) -> dict[str, Tensor]:
    """The weights that a run begins with: those after an epoch at a rate of nothing."""
    still = Recipe("fake:32", 8, 1, optimizer=optimizers.SGD(lr=1e-30))
    return weights(run(model, folder, still, **flags).run.folder)


def parameters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if key.endswith(("weight", "bias"))}


# ── Weights ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("source", ["", "weights.safetensors", "checkpoints/best.ckpt"])
def test_a_run_begins_with_the_weights_of_another(
    trained: Path, tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained / source if source else trained
    found = begun_with(tmp_path, net(4), weights_from=str(path))
    expected = load_file(trained / "weights.safetensors")
    for key, value in parameters(expected).items():
        assert torch.equal(found[key], value)
    assert f"note: {len(expected)} tensors from {path}\n" in capsys.readouterr().err
    report = (tmp_path / "run" / "report.md").read_text("utf-8")
    assert f"Began with the weights of {path}." in report


@pytest.mark.parametrize("source", ["", "weights.safetensors"])
def test_for_other_classes_the_last_layer_is_new(
    trained: Path, tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the one of a new network with the same seed."""
    new = begun_with(tmp_path / "new", net(7))
    path = trained / source if source else trained
    found = begun_with(tmp_path / "from", net(7), weights_from=str(path))
    expected = load_file(trained / "weights.safetensors")
    last = sorted(key for key in found if found[key].shape[:1] == (7,))
    assert len(last) == 2
    for key, value in parameters(found).items():
        assert torch.equal(value, new[key] if key in last else expected[key])
    said = capsys.readouterr().err
    assert f"; new, with 7 outputs instead of 4: {last[0].rpartition('.')[0]}\n" in said


def test_names_may_be_others(trained: Path, tmp_path: Path) -> None:
    """The run's own module tells the order, which a file of safetensors alone has lost."""
    found = begun_with(tmp_path, net(7, OTHER), weights_from=str(trained))
    expected = load_file(trained / "weights.safetensors")
    assert torch.equal(found["a.0.weight"], expected["stem.0.weight"])
    assert torch.equal(found["b.0.weight"], expected["body.0.weight"])
    with pytest.raises(TrainError, match=r"do not fit: ambiguous: .*`archdsl weights port` can"):
        run(net(7, OTHER), tmp_path, RECIPE, weights_from=str(trained / "weights.safetensors"))


def test_a_hidden_layer_with_as_many_outputs_is_taken() -> None:
    """The source has a hidden layer of 4 numbers, as many as the target has classes."""
    source = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 9))
    target = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    before = target[1].weight.clone()
    said = take_weights(target, SourceWeights(dict(source.state_dict()), True), "x.pt", 4)
    assert said == "2 tensors from x.pt; new, with 4 outputs instead of 9: 1"
    assert torch.equal(target[0].weight, source[0].weight)
    assert torch.equal(target[1].weight, before)


def test_the_layers_of_all_heads_are_new() -> None:
    class Heads(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.aux = nn.Linear(6, classes)
            self.trunk = nn.Linear(6, 6)
            self.last = nn.Linear(6, classes)

    source, target = Heads(5), Heads(3)
    said = take_weights(target, SourceWeights(dict(source.state_dict()), True), "x.pt", 3)
    assert said == "2 tensors from x.pt; new, with 3 outputs instead of 5: aux, last"
    assert torch.equal(target.trunk.weight, source.trunk.weight)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ([nn.Linear(4, 4), nn.Linear(4, 9)], [nn.Linear(4, 5), nn.Linear(5, 3)]),
        ([nn.Linear(4, 9)], [nn.Linear(4, 3), nn.Linear(3, 3)]),
        ([nn.Linear(4, 9), nn.Linear(4, 8)], [nn.Linear(4, 3), nn.Linear(4, 3)]),
    ],
    ids=["another width", "another depth", "two numbers of classes"],
)
def test_what_differs_otherwise_is_refused(source: Any, target: Any) -> None:
    state = dict(nn.Sequential(*source).state_dict())
    network = nn.Sequential(*target)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(TrainError, match=r"the weights of x.pt do not fit: no place for "):
        take_weights(network, SourceWeights(state, True), "x.pt", 3)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


# ── torchvision ────────────────────────────────────────────────────────────────────────────────


def test_torchvisions_weights_are_taken_from_the_cache_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    with pytest.raises(TrainError) as raised:
        read_source("torchvision:squeezenet1_1", download=False)
    assert str(raised.value) == (
        "squeezenet1_1-b8a52dc0.pth, the weights IMAGENET1K_V1 of squeezenet1_1, is not in "
        f"{folder}: fetch it with `--download`"
    )
    assert not folder.exists()
    folder.mkdir(parents=True)
    source = models.squeezenet1_1(weights=None)
    torch.save(source.state_dict(), folder / "squeezenet1_1-b8a52dc0.pth")
    for name in ("torchvision:squeezenet1_1", "torchvision:squeezenet1_1:IMAGENET1K_V1"):
        found = read_source(name, download=False)
        # A convolution tells its classes apart.
        target = models.squeezenet1_1(weights=None, num_classes=12)
        said = take_weights(target, found, name, 12)
        assert (
            said == f"50 tensors from {name}; new, with 12 outputs instead of 1,000: classifier.1"
        )
        assert torch.equal(target.features[0].weight, source.features[0].weight)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision:resnet81", "torchvision has no model `resnet81`; did you mean `resnet18`?"),
        ("torchvision:resnet18:V9", "the weights of resnet18 are IMAGENET1K_V1"),
        ("nowhere.pt", "cannot read nowhere.pt: No such file"),
    ],
)
def test_a_source_that_is_not_there_is_one_line(name: str, said: str) -> None:
    with pytest.raises(TrainError) as raised:
        read_source(name, download=False)
    assert said in str(raised.value)


# ── Freezing ───────────────────────────────────────────────────────────────────────────────────


def test_frozen_parts_keep_weights_and_statistics(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Although the optimizer has a weight decay, and training batches have statistics."""
    flags = {"weights_from": str(trained), "freeze": ("stem",)}
    found = weights(run(net(7), tmp_path, RECIPE, **flags).run.folder)
    before = load_file(trained / "weights.safetensors")
    for key, value in found.items():
        if key.startswith("stem"):
            assert torch.equal(value, before[key]), key
        elif key in before and before[key].shape == value.shape:
            assert not torch.equal(value, before[key]), key
    total = net(7).trunk.parameters
    fixed = sum(v.numel() for k, v in parameters(found).items() if k.startswith("stem"))
    assert f"note: stem frozen: {fixed} of {total:,} parameters\n" in capsys.readouterr().err


def test_frozen_parts_have_no_gradients(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their dropout works as ever; only their batch normalizations are in evaluation."""
    seen: list[dict[str, bool]] = []
    step = TrainingLoop._step

    def look(loop: TrainingLoop, batches: Any) -> None:
        step(loop, batches)
        module = loop.network.module
        assert {name for name, p in module.named_parameters() if not p.requires_grad} == {
            name for name, _ in module.named_parameters() if name.startswith("body")
        }
        seen.append(
            {
                name: inner.training
                for name, inner in module.named_modules()
                if isinstance(inner, nn.BatchNorm2d | nn.Dropout | nn.Dropout2d)
            }
        )

    monkeypatch.setattr(TrainingLoop, "_step", look)
    run(net(4), tmp_path, RECIPE, weights_from=str(trained), freeze=("body",))
    assert len(seen) == 2 * 4
    assert all(each == {"stem.1": True, "body.1": False, "body.3": True} for each in seen)


def test_a_frozen_run_is_resumed_and_thawed(trained: Path, tmp_path: Path) -> None:
    """The weights are those of the checkpoint, not once more those of the source."""
    source = tmp_path / "source.safetensors"
    save_file(load_file(trained / "weights.safetensors"), source)
    flags = {"weights_from": str(source), "freeze": ("stem",)}
    one = Recipe("fake:32", 8, 1, optimizer=RECIPE.optimizer)
    whole = weights(run(net(4), tmp_path / "whole", RECIPE, **flags).run.folder)
    run(net(4), tmp_path / "cut", one, **flags)
    save_file({"gone": torch.zeros(1)}, source)
    cut = weights(run(net(4), tmp_path / "cut", RECIPE, **flags, resume="auto").run.folder)
    assert all(torch.equal(whole[key], cut[key]) for key in whole)
    longer = Recipe("fake:32", 8, 3, optimizer=RECIPE.optimizer)
    thawed = weights(run(net(4), tmp_path / "cut", longer, resume="auto").run.folder)
    assert not torch.equal(thawed["stem.0.weight"], cut["stem.0.weight"])


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["bodi"], "`--freeze bodi`: there is no such part; did you mean `body`?"),
        ([""], "there is no such part; the parts are "),
        (["relu"], "`--freeze relu`: it has no parameters"),
        (["stem", "body", "relu"], "has no parameters"),
        (["stem", "body"], "`--freeze`: no parameters are left to train"),
    ],
)
def test_what_cannot_be_frozen_is_one_line(parts: list[str], said: str) -> None:
    network = nn.ModuleDict({"stem": nn.Linear(2, 2), "body": nn.Linear(2, 2), "relu": nn.ReLU()})
    with pytest.raises(TrainError) as raised:
        freeze(network, parts)
    assert said in str(raised.value)


def test_the_command(trained: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path, NET.format(7, 7))
    flags = ["--data", "fake:16", "--epochs", "1", "--batch", "8", "--output", str(tmp_path / "r")]
    words = ["train", str(spec), "--device", "cpu", *flags]
    done = CliRunner().invoke(commands, [*words, "--from", str(trained), "--freeze", "stem"])
    assert done.exit_code == 0, done.output
    assert "new, with 7 outputs instead of 4" in done.stderr
    for more, said in (
        (["--freeze", "stem"], "`--freeze` keeps weights as they are: name them with `--from`"),
        (["--from", "torchvision:resnet81"], "did you mean `resnet18`?"),
        (["--from", str(trained), "--freeze", "bodi"], "did you mean `body`?"),
    ):
        done = CliRunner().invoke(commands, [*words, *more])
        assert done.exit_code == 2
        assert said in done.stderr.splitlines()[-1]
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["net"]
    sweep = ["--data", "fake:16", "--output", str(tmp_path / "f"), "--find-lr", "--freeze", "stem"]
    done = CliRunner().invoke(commands, [*words[:4], *sweep])
    assert (done.exit_code, (tmp_path / "f").exists()) == (2, False)
    assert "`--freeze` keeps weights as they are: name them with `--from`" in done.stderr
    done = CliRunner().invoke(commands, [*words[:-2], "--output", str(tmp_path / "f"), "--find-lr"])
    assert "--epochs" in done.stderr
