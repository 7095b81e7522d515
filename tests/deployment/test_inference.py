"""Networks for inference: they compute what the plain ones do, with what training adds gone."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, sample
from oracle import run_source
from structures import FOR_INFERENCE
from torch import Tensor, nn

import archdsl
from archdsl.codegen import entry_name
from archdsl.deployment import deploy
from archdsl.model import Model

SPECS = sorted((ROOT / "specs").rglob("*.arch"))
TOLERANCE = 1e-5
#: Parameters beyond which a run takes long and adds nothing to the keys and the structures.
LARGE = 30_000_000


def build(model: Model, *, inference: bool) -> nn.Module:
    source = archdsl.compile(model, inference=inference)
    network: nn.Module = getattr(run_source(source), entry_name(model))()
    return network.eval()


def enliven(network: nn.Module) -> None:
    """Weights that let the image through, and statistics that are far from 0 and 1."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.3, 3.0)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)


def assert_equal_outputs(model: Model) -> nn.Module:
    """Both modules give the same, relative to the scale of the output. Returns the deployed one."""
    torch.manual_seed(0)
    # In double precision: the numbers of deep networks grow so large that singles say little.
    plain = build(model, inference=False).double()
    deployed = build(model, inference=True).double()
    enliven(plain)
    state = plain.state_dict()
    before = {key: tensor.clone() for key, tensor in state.items()}
    deployed.load_training_state(state)
    assert all(torch.equal(state[key], tensor) for key, tensor in before.items())
    sizes = [node.volume.torch_sizes for node in model.inputs]
    inputs = [torch.randn(2, *size, dtype=torch.float64) for size in sizes]
    kept = [x.clone() for x in inputs]
    with torch.no_grad():
        expected, found = plain(*inputs), deployed(*inputs)
    assert all(map(torch.equal, inputs, kept)), "an input is written over"
    if not model.outputs:
        assert isinstance(found, Tensor)
        expected, found = (expected,), (found,)
    for ours, theirs in zip(found, expected, strict=True):
        scale = theirs.abs().max().item()
        assert scale > 0
        assert (ours - theirs).abs().max().item() <= TOLERANCE * scale
    return deployed


def networks() -> list[pytest.param]:
    """Those of the lecture; all others are compared by `archdsl check --prove specs`."""
    found = []
    for path in SPECS:
        for model in sample(path) if path.parent.name == "specs" else ():
            if model.trunk.parameters <= LARGE:
                found.append(pytest.param(model, id=model.name))
    return found


@pytest.mark.parametrize("model", networks())
def test_spec_computes_the_same(model: Model) -> None:
    assert_equal_outputs(model)
    gc.collect()


@pytest.mark.parametrize("path", SPECS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_key_of_every_spec_is_used_once(path: Path) -> None:
    """All networks, the large ones too, take the keys of their plain twins, without numbers."""
    models = sample(path)
    plain_module = run_source(archdsl.compile(*models))
    source = archdsl.compile(*models, inference=True)
    deployed_module = run_source(source)
    for model in models:
        name = entry_name(model)
        with torch.device("meta"):
            plain, deployed = getattr(plain_module, name)(), getattr(deployed_module, name)()
        kinds = {type(module) for module in deployed.modules()}
        assert not kinds & {nn.Dropout, nn.BatchNorm1d}
        # A DenseNet normalizes before its convolutions, with a ReLU between; DCGAN's generator
        # behind transposed convolutions.
        assert nn.BatchNorm2d not in kinds or name.lower().startswith(("densenet", "generator"))
        deployed.load_training_state(plain.state_dict())
        assert (
            sum(p.numel() for p in deployed.parameters()) == deploy(model).model.trunk.parameters
        ), name


# ── Structures ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", FOR_INFERENCE.values(), ids=FOR_INFERENCE)
def test_structure_computes_the_same(text: str) -> None:
    assert_equal_outputs(archdsl.parse(text, input="8x8x4"))


def test_dropout_and_normalization_go_and_the_rest_keeps_its_name() -> None:
    names = {
        "conv 3x3 8 bn relu dropout 0.5; fc 3": ["0", "1", "2", "3"],
        "c: conv 3x3 8 dropout 0.5; b: bn; relu; f: { dropout 0.1 fc 3 }": ["c", "relu", "f"],
        "bn conv 3x3 8": ["0", "1"],
        "a: dropout; b: dropout; relu": ["0"],
        "conv 1x1 4 relu; a: dropout; conv 1x1 4; add { a | id }": ["layers", "a", "conv"],
    }
    for text, expected in names.items():
        network = build(archdsl.parse(text, input="8x8x4"), inference=True)
        assert [name for name, _ in network.named_children()] == expected, text


def test_what_is_not_folded() -> None:
    kept = {
        "a normalization at the start": "bn conv 3x3 8",
        "one behind a sum": "add { conv 3x3 same | id } bn relu",
        "one behind a convolution that others read": "a: conv 1x1 4; bn; add { a | id }",
        "one behind an activation": "conv 3x3 8 relu bn",
        "one behind a transposed convolution": "deconv 2x2 4 s2 bn",
    }
    for text in kept.values():
        network = build(archdsl.parse(text, input="8x8x4"), inference=True)
        assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules()), text


@pytest.mark.parametrize(
    "text",
    [
        "concat { conv 1x1 2 s2 | conv 1x1 3 s2 }",
        "concat { conv 1x1 2 g2 | conv 1x1 4 g2 }",
        "concat { conv 1x1 2 p1 | conv 1x1 3 p1 }",
        "concat { conv 1x1 2 | conv 3x3 3 same }",
        "concat { relu conv 1x1 2 | conv 1x1 3 }",
        "concat { a: conv 1x1 2; relu | conv 1x1 3 }; concat { a | id }",
        "add { conv 1x1 3 | conv 1x1 3 }",
    ],
)
def test_what_is_not_merged(text: str) -> None:
    assert "Reduction" not in archdsl.compile(archdsl.parse(text, input="8x8x4"), inference=True)


def test_relu_writes_over_what_nobody_else_reads() -> None:
    in_place = {
        "conv 1x1 4 relu": [True],
        "relu conv 1x1 4": [False],
        "add { conv 1x1 4 | id } relu": [True],
        "a: conv 1x1 4; relu; add { a | id } relu": [False, True],
        "maxpool 2 relu6; relu": [False],
        "concat { conv 1x1 2 relu | conv 1x1 3 relu }": [True],
        "concat { conv 1x1 2 relu | conv 1x1 3 }": [False],
    }
    for text, expected in in_place.items():
        network = build(archdsl.parse(text, input="8x8x4"), inference=True)
        found = [module.inplace for module in network.modules() if type(module) is nn.ReLU]
        assert found == expected, text


# ── How it reads ─────────────────────────────────────────────────────────────────────────────


def test_an_inception_reads_as_a_person_would_write_it() -> None:
    source = archdsl.compile(archdsl.load(ROOT / "specs" / "googlenet.arch"), inference=True)
    assert source.startswith(
        '"""GoogLeNet for inference. Generated by archdsl from googlenet.arch."""\n'
    )
    assert INCEPTION_CLASS in source
    assert ORIGINS in source


INCEPTION_CLASS = """
        self.reduce = Reduction(in_channels, n1, r3, r5, activation=nn.ReLU(inplace=True))
        self.branch2 = nn.Sequential(nn.Conv2d(r3, n3, 3, padding=1), nn.ReLU(inplace=True))
        self.branch3 = nn.Sequential(nn.Conv2d(r5, n5, 5, padding=2), nn.ReLU(inplace=True))
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.Conv2d(in_channels, np_, 1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        x1, x2, x3 = self.reduce(x)
        return torch.cat((x1, self.branch2(x2), self.branch3(x3), self.branch4(x)), 1)
"""

ORIGINS = """
    Inception: {
        "reduce.conv": ["branch1.0", "branch2.0", "branch3.0"],
        "branch2.0": ["branch2.2"],
        "branch3.0": ["branch3.2"],
    },
    GoogLeNet: {
        "head.2": ["head.3"],
    },
"""


def test_a_module_has_no_more_of_the_conversion_than_it_needs() -> None:
    """No normalization is folded in GoogLeNet, and nothing is merged in ResNet."""
    plain, folded = (
        archdsl.compile(*archdsl.load_all(ROOT / "specs" / name), inference=True)
        for name in ("googlenet.arch", "torchvision/resnet.arch")
    )
    assert plain.count("\n") < 155
    assert not re.search("_fold|_Fold|running_mean|NamedTuple", plain)
    assert "shift - mean * factor" in folded
    assert not re.search(
        r"eps: float|bias: bool = False\n|affine: bool", folded.partition("class _Fold")[2]
    )


DEPLOYED = sorted((ROOT / "deployed").rglob("*.py"))


@pytest.mark.parametrize("path", DEPLOYED, ids=lambda p: p.stem)
def test_committed_modules_are_fresh(path: Path) -> None:
    spec = ROOT / "specs" / path.relative_to(ROOT / "deployed").with_suffix(".arch")
    assert path.read_text("utf-8") == archdsl.compile(*archdsl.load_all(spec), inference=True)


def test_the_page_quotes_the_committed_modules() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    quoted = re.findall(r"^```py\n((?:class|    ).*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(quoted) == 2
    committed = [path.read_text("utf-8") for path in DEPLOYED]
    for text in quoted:
        assert any(text in module for module in committed), text


def test_modules_are_formatted_typed_and_stand_alone(tmp_path: Path) -> None:
    sources = {
        f"{path.parent.name}_{path.stem}": archdsl.compile(*sample(path), inference=True)
        for path in SPECS
    }
    for index, text in enumerate(FOR_INFERENCE.values()):
        model = archdsl.parse(text, input="8x8x4")
        sources[f"structure{index}"] = archdsl.compile(model, inference=True)
    for name, source in sources.items():
        imports = set(re.findall(r"^(?:import \S+|from \S+ import .*)$", source, re.MULTILINE))
        assert imports <= {
            "from collections import OrderedDict",
            "from collections.abc import Mapping",
            "from typing import NamedTuple",
            "import torch",
            "from torch import Tensor, nn",
        }
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
    for command in (
        ["ruff", "format", "--check", "--config", ROOT / "pyproject.toml"],
        ["ruff", "check", "--select", "F,I,E,W", "--line-length", "100"],
        ["mypy", "--strict", "--explicit-package-bases"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command, *sorted(tmp_path.glob("*.py"))],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout + done.stderr


# ── Wrong states ─────────────────────────────────────────────────────────────────────────────

TRAINED = "conv 3x3 8 nobias bn relu; aux(0.3) { fc 3 }; concat { conv 1x1 2 | conv 1x1 3 }; fc 3"


def test_wrong_states_are_refused() -> None:
    model = archdsl.parse(TRAINED, input="8x8x4")
    state = build(model, inference=False).state_dict()
    deployed = build(model, inference=True)
    before = {key: tensor.clone() for key, tensor in deployed.state_dict().items()}
    used = [key for key in state if not key.startswith("aux") and "num_batches" not in key]
    for key in used:
        rest = {other: tensor for other, tensor in state.items() if other != key}
        with pytest.raises(RuntimeError, match=rf"^the state has no {key}$"):
            deployed.load_training_state(rest)
    with pytest.raises(
        RuntimeError, match=r"^the state has what this network does not: a\.weight, b\.bias$"
    ):
        deployed.load_training_state(state | {"b.bias": torch.ones(1), "a.weight": torch.ones(1)})
    for key, tensor in deployed.state_dict().items():
        assert torch.equal(tensor, before[key]), key
    with pytest.raises(RuntimeError, match=r"size mismatch for fc\.weight"):
        deployed.load_training_state(state | {"fc.weight": torch.ones(3, 4)})
    without_heads = {key: tensor for key, tensor in state.items() if not key.startswith("aux")}
    deployed.load_training_state(without_heads)


def test_a_deployed_state_is_no_trained_one() -> None:
    model = archdsl.parse(TRAINED, input="8x8x4")
    deployed = build(model, inference=True)
    with pytest.raises(RuntimeError, match=r"^the state has no "):
        deployed.load_training_state(deployed.state_dict())


def test_a_deployed_network_saves_and_loads_its_own_state() -> None:
    model = archdsl.parse(TRAINED, input="8x8x4")
    one, other = build(model, inference=True), build(model, inference=True)
    other.load_state_dict(one.state_dict(), strict=True)


def test_folding_is_exact_in_double_precision() -> None:
    """Statistics beyond what single precision could multiply without loss."""
    model = archdsl.parse("conv 3x3 8 nobias bn eps=0.001; relu", input="8x8x4")
    plain = build(model, inference=False).double()
    enliven(plain)
    deployed = build(model, inference=True).double()
    deployed.load_training_state(plain.state_dict())
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(deployed(x), plain(x), rtol=1e-12, atol=1e-12)
