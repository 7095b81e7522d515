"""The validator of modules: it takes what is right, in any style, and refuses what is not."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import networkx
import pytest
import test_codegen
import test_inference
import torch
from conftest import ROOT
from oracle import judge, run_source
from torch import nn

import archdsl
from archdsl.codegen import entry_name, entry_names, render_deployments, render_module
from archdsl.deployment import deploy
from archdsl.layers import INITIALIZERS, REGISTRY, Call, UnaryLayer
from archdsl.layers.call import Code
from archdsl.model import Model
from archdsl.modules import RESERVED_ATTRIBUTES
from archdsl.validation import InvalidModule, expected_graphs, recorded_graphs, validate
from archdsl.validation import signatures as stand_ins
from archdsl.validation.expected import calls_within

SPECS = sorted((ROOT / "specs").rglob("*.arch"))
HERE = Path(__file__).parent / "validated"
NET = (HERE / "net.py").read_text("utf-8")
DEPLOYED = (HERE / "deployed.py").read_text("utf-8")


def models_of(name: str) -> dict[str, Model]:
    return {model.name: model for model in archdsl.load_all(HERE / name)}


def by_class(models: tuple[Model, ...]) -> dict[str, Model]:
    return dict(zip(entry_names(models), models, strict=True))


# ── What is right ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", SPECS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_spec_is_valid(path: Path) -> None:
    models = archdsl.load_all(path)
    networks = by_class(models)
    validate(render_module(models), networks)
    deployments = {name: deploy(model) for name, model in networks.items()}
    validate(render_deployments([*deployments.values()]), deployments)


STRUCTURES = test_codegen.STRUCTURES | test_inference.STRUCTURES


@pytest.mark.parametrize("text", STRUCTURES.values(), ids=STRUCTURES)
def test_every_structure_is_valid(text: str) -> None:
    model = archdsl.parse(text, input="8x8x4")
    name = entry_name(model)
    validate(render_module([model]), {name: model})
    deployment = deploy(model)
    validate(render_deployments([deployment]), {name: deployment})


EXAMPLES = [example for layer in REGISTRY.values() for example in layer.examples]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.text)
def test_every_example_of_a_layer_is_valid(example: object) -> None:
    input = "x".join(map(str, example.input))
    for init in ("", "; init he", "; init normal 0.1 bias 2"):
        model = archdsl.parse(example.text + init, input=input)
        validate(render_module([model]), by_class((model,)))


def test_modules_by_hand_are_valid() -> None:
    """The style does not matter: conditions, lists, functions, typed outputs."""
    models = models_of("net.arch")
    validate(NET, models)
    deployment = deploy(archdsl.load(HERE / "deployed.arch"))
    validate(DEPLOYED, {"Deployed": deployment})


@pytest.mark.parametrize("name", ["Net", "Small"])
def test_modules_by_hand_are_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch says so: or the faults below would be faults of what is wrong already."""
    monkeypatch.setattr(archdsl, "compile", lambda model: NET)
    model = models_of("net.arch")[name]
    network = run_source(NET).__dict__[name]()
    if name == "Small":
        judge(model)
    x = torch.randn(2, *model.input.torch_sizes)
    outputs = network.train()(x)
    assert isinstance(outputs, tuple) == (name == "Net")
    own = run_source(render_module([model])).__dict__[name]()
    own.load_state_dict(network.state_dict())
    assert list(own.state_dict()) == list(network.state_dict())
    found = network.eval()(x)
    torch.testing.assert_close(found[0] if name == "Net" else found, own.eval()(x))


# ── Faults ───────────────────────────────────────────────────────────────────────────────────

#: What each fault puts in place of what, in the module by hand.
FAULTS = {
    "two inputs of a concat swapped": ("(self.crop(skip), x)", "(x, self.crop(skip))"),
    "branches swapped": ("(self.a, self.b, self.c)", "(self.b, self.a, self.c)"),
    "a branch lost": ("(self.a, self.b, self.c)", "(self.a, self.c)"),
    "a branch twice": ("(self.a, self.b, self.c)", "(self.a, self.a, self.c)"),
    "a skip dropped": ("x = skip + x", "x = x"),
    "the operands of a sum swapped": ("x = skip + x", "x = x + skip"),
    "a skip from elsewhere": ("x = skip + x", "x = y + x"),
    "a variable reused that is still needed": (
        "skip = self.skip(x)\n        branches = [branch(skip)",
        "skip = self.skip(x)\n        x = skip = self.a(skip)\n        branches = [branch(skip)",
    ),
    "a variable overwritten": (
        "y = self.gate(x)\n        x = x * y",
        "x = self.gate(x)\n        x = x * x",
    ),
    "a result forgotten": ("x = self.cut(x)", "self.cut(x)"),
    "a sum for a product": ("x = x * y", "x = x + y"),
    "a product for a sum": ("x = y + x", "x = y * x"),
    "a sum in place": ("x = y + x", "y += x\n        x = y"),
    "a concat of rows": ("branches, dim=1", "branches, dim=2"),
    "a concat of the batch": ("branches, dim=1", "branches"),
    "a boolean dimension": ("(self.crop(skip), x), 1)", "(self.crop(skip), x), True)"),
    "a stack for a concat": ("torch.cat((self", "torch.stack((self"),
    "a condition turned round": (
        "if s != 1 or in_channels != n:",
        "if not (s != 1 or in_channels != n):",
    ),
    "a condition for ever": ("if s != 1 or in_channels != n:", "if True:"),
    "a condition never": ("if s != 1 or in_channels != n:", "if False:"),
    "half a condition": ("if s != 1 or in_channels != n:", "if s != 1:"),
    "and for or": ("s != 1 or in_channels", "s != 1 and in_channels"),
    "a wrong condition in forward": ("if self.down is not None:", "if self.down is None:"),
    "a condition on a list": ("if relu else []", "if not relu else []"),
    "a wrong default": ("n: int, s: int = 1)", "n: int, s: int = 2)"),
    "another wrong default": ("classes: int = 10", "classes: int = 11"),
    "a wrong argument": ("self.skip = Cell(8, 16, s=2)", "self.skip = Cell(8, 16, s=1)"),
    "an argument left out": ("self.skip = Cell(8, 16, s=2)", "self.skip = Cell(8, 16)"),
    "arguments swapped": ("self.skip = Cell(8, 16, s=2)", "self.skip = Cell(16, 8, s=2)"),
    "a bias too few": (
        "self.b = nn.Conv2d(16, 4, 3, padding=1)",
        "self.b = nn.Conv2d(16, 4, 3, padding=1, bias=False)",
    ),
    "a bias too many": ("nn.Conv2d(24, 16, 1, bias=False)", "nn.Conv2d(24, 16, 1)"),
    "a bias that is 0 and not False": (
        "nn.Conv2d(24, 16, 1, bias=False)",
        "nn.Conv2d(24, 16, 1, bias=0)",
    ),
    "another stride": ("nn.AvgPool2d(3, stride=1", "nn.AvgPool2d(3, stride=2"),
    "a stride left out": ("nn.AvgPool2d(3, stride=1, padding=1)", "nn.AvgPool2d(3, padding=1)"),
    "a stride that is 1.0": ("nn.AvgPool2d(3, stride=1,", "nn.AvgPool2d(3, stride=1.0,"),
    "another padding": ("n, 3, padding=2, dilation=2", "n, 3, padding=1, dilation=2"),
    "a padding that is True": ("padding=1, ceil_mode=True", "padding=True, ceil_mode=True"),
    "padding on other sides": ("ZeroPad2d((0, 1, 0, 1))", "ZeroPad2d((1, 0, 0, 1))"),
    "another dilation": ("padding=2, dilation=2", "padding=2, dilation=1"),
    "another number of groups": ("groups=4", "groups=3"),
    "no groups": (", groups=4", ""),
    "another kernel": ("kernel_size=(1, 1)", "kernel_size=(1, 3)"),
    "another mode of padding": (
        "n, 3, padding=1, groups=4",
        'n, 3, padding=1, groups=4, padding_mode="reflect"',
    ),
    "an argument that does not exist": (
        "nn.Conv2d(24, 16, 1, bias=False)",
        "nn.Conv2d(24, 16, 1, biass=False)",
    ),
    "an attribute renamed": ("self.cut", "self.cutt"),
    "an attribute renamed where it is read": ("x = self.cut(x)", "x = self.cutt(x)"),
    "two attributes swapped": ("y = self.relu1(y)", "y = self.out(y)"),
    "a layer under two names": ("self.a = nn.Seq", "self.a_ = self.a = nn.Seq"),
    "two layers in each other's place": (
        "self.first = Cell(8, 8)\n        self.skip = Cell(8, 16, s=2)",
        "self.skip = Cell(8, 8)\n        self.first = Cell(8, 16, s=2)",
    ),
    "another order of the state dict": (
        "self.first = Cell(8, 8)\n        self.skip = Cell(8, 16, s=2)",
        "self.skip = Cell(8, 16, s=2)\n        self.first = Cell(8, 8)",
    ),
    "a module shared": ("self.aux2 = AuxHead(16)", "self.aux2 = self.aux1"),
    "a layer shared": ("self.out = nn.ReLU()", "self.out = self.relu1"),
    "one layer for two": ("return self.out(x)", "return self.relu1(x)"),
    "a layer applied twice": ("x = self.grow(x)", "self.grow(x)\n        x = self.grow(x)"),
    "a relu missing": ("nn.Conv2d(16, 4, 1), nn.ReLU())", "nn.Conv2d(16, 4, 1))"),
    "a relu too many": (
        "nn.Conv2d(16, 16, 1), nn.Sigmoid()",
        "nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Sigmoid()",
    ),
    "a function of torch too many": ("x = self.pick(x)", "x = torch.relu(self.pick(x))"),
    "a relu in place": ("self.out = nn.ReLU()", "self.out = nn.ReLU(inplace=True)"),
    "a layer left out": ("x = self.pool(x)", "x = x"),
    "a layer registered and not used": (
        "self.grow = nn",
        "self.more = nn.ReLU()\n        self.grow = nn",
    ),
    "a parameter too many": (
        "self.grow = nn",
        "self.w = nn.Parameter(torch.ones(3))\n        self.grow = nn",
    ),
    "a buffer too many": (
        "self.grow = nn",
        'self.register_buffer("w", torch.ones(3))\n        self.grow = nn',
    ),
    "a dropout dropped": ("nn.Dropout(0.4), nn.Flatten()", "nn.Identity(), nn.Flatten()"),
    "another rate of dropout": ("nn.Dropout(0.4)", "nn.Dropout(0.5)"),
    "a dropout that is the default": ("nn.Dropout(0.4)", "nn.Dropout()"),
    "a flattening in another place": (
        "nn.Dropout(0.4), nn.Flatten(), nn.Linear(4 * 3 * 3, 20)",
        "nn.Flatten(), nn.Dropout(0.4), nn.Linear(4 * 3 * 3, 20)",
    ),
    "a flattening that begins late": ("nn.Flatten(), nn.Linear(4", "nn.Flatten(2), nn.Linear(4"),
    "a flattening of the batch": ("torch.flatten(x, 1)", "torch.flatten(x)"),
    "no flattening": ("torch.flatten(x, 1)", "x"),
    "a head in evaluation": (
        "        if self.training:\n            aux1 = ",
        "        if True:\n            aux1 = ",
    ),
    "a head in evaluation alone": (
        "if self.training:\n            aux2",
        "if not self.training:\n            aux2",
    ),
    "a head dropped": ("        if self.training:\n            aux1 = self.aux1(x)\n", ""),
    "a head thrown away": ("aux1 = self.aux1(x)", "self.aux1(x)"),
    "a head at another place": ("aux2 = self.aux2(x)", "aux2 = self.aux2(skip)"),
    "the heads in another order": ("Outputs(x, aux1, aux2)", "Outputs(x, aux2, aux1)"),
    "heads without the result": ("Outputs(x, aux1, aux2)", "Outputs(skip, aux1, aux2)"),
    "a tuple for a tensor": (
        "return self.fc1(torch.flatten(x, 1))",
        "return (self.fc1(torch.flatten(x, 1)),)",
    ),
    "another weight of a head": ("aux_weights = (0.3, 0.2)", "aux_weights = (0.3, 0.3)"),
    "weights of heads swapped": ("aux_weights = (0.3, 0.2)", "aux_weights = (0.2, 0.3)"),
    "no weights of heads": ("    aux_weights = (0.3, 0.2)\n", ""),
    "another initializer": ("nn.init.kaiming_normal_(", "nn.init.kaiming_uniform_("),
    "another gain": ('nonlinearity="relu"', 'nonlinearity="linear"'),
    "no gain": (', nonlinearity="relu"', ""),
    "layers without a bias not initialized": (
        "if isinstance(module, nn.Conv2d | nn.Linear):",
        "if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:",
    ),
    "layers of a kind not initialized": ("nn.Conv2d | nn.Linear):", "nn.Conv2d):"),
    "more than layers with weights initialized": (
        "nn.Conv2d | nn.Linear):",
        "nn.Conv2d | nn.BatchNorm2d | nn.Linear):",
    ),
    "biases not initialized": ("nn.init.zeros_(module.bias)", "pass"),
    "biases of ones": ("nn.init.zeros_(module.bias)", "nn.init.ones_(module.bias)"),
    "another deviation": ("std=0.01", "std=0.1"),
    "another layer's start": ('"b.weight"', '"cut.weight"'),
    "a layer's own start lost": (
        'nn.init.normal_(self.get_parameter("b.weight"), std=0.01)',
        "pass",
    ),
    "the start of all after a layer's own": (
        'nn.init.ones_(self.get_parameter("b.bias"))',
        'nn.init.ones_(self.get_parameter("b.bias"))\n        nn.init.zeros_(self.b.bias)',
    ),
    "one copy too few": ("range(3)", "range(2)"),
    "one copy too many": ("range(3)", "range(4)"),
    "copies in another order": ("for copy in self.stage:", "for copy in self.stage[::-1]:"),
    "a copy left out": ("for copy in self.stage:", "for copy in self.stage[1:]:"),
    "one copy again and again": ("x = copy(x)", "x = self.stage[0](x)"),
    "one object for all copies": (
        "        for _ in range(3):\n            self.stage.append(stage(24, True, nn.Tanh))",
        "        one = stage(24, True, nn.Tanh)\n        for _ in range(3):\n            self.stage.append(one)",
    ),
    "another function for an activation": (
        "stage(24, True, nn.Tanh)",
        "stage(24, True, nn.Sigmoid)",
    ),
    "another kind of pool": ("self.c = nn.AvgPool2d(3", "self.c = nn.MaxPool2d(3"),
    "another kind of convolution": ("self.cut = nn.Conv2d", "self.cut = nn.ConvTranspose2d"),
    "ceil_mode lost": (", ceil_mode=True", ""),
    "another eps": ("nn.BatchNorm2d(n, eps=0.001)", "nn.BatchNorm2d(n, eps=0.01)"),
    "the default eps": ("nn.BatchNorm2d(n, eps=0.001)", "nn.BatchNorm2d(n)"),
    "another momentum": (
        "self.bn1 = nn.BatchNorm2d(n)",
        "self.bn1 = nn.BatchNorm2d(n, momentum=0.01)",
    ),
    "no statistics": (
        "self.bn1 = nn.BatchNorm2d(n)",
        "self.bn1 = nn.BatchNorm2d(n, track_running_stats=False)",
    ),
    "a crop to another size": ("Crop(3, 3)", "Crop(3, 4)"),
    "a crop of another part": ("self.crop(skip), x", "self.crop(x), x"),
    "other channels": ("Take(3, 1, 2)", "Take(1, 3, 2)"),
    "a helper class that does something else": (
        "(x.shape[2] - self.height) // 2",
        "(x.shape[2] - self.height + 1) // 2",
    ),
    "a helper class without a word": (
        "self.channels = list(channels)",
        "self.channels = sorted(channels)",
    ),
    "a helper class replaced": (
        "class Cell(nn.Module):",
        "class Take(Take):\n    pass\n\n\nclass Cell(nn.Module):",
    ),
    "a class twice": (
        "class Small(nn.Module):",
        "class Cell(Cell):\n    pass\n\n\nclass Small(nn.Module):",
    ),
    "a function twice": (
        "class Net(nn.Module):",
        "def stage(n, relu, activation):\n    return nn.Sequential()\n\n\nclass Net(nn.Module):",
    ),
    "a network forgotten": ("class Small(nn.Module):", "class Smaller(nn.Module):"),
    "a network that is not exported": ('["Net", "Small"]', '["Net"]'),
    "no super().__init__()": (
        "    def __init__(self) -> None:\n        super().__init__()\n        self.stem",
        "    def __init__(self) -> None:\n        self.stem",
    ),
    "a layer named as an attribute of torch": ("self.c2", "self.float"),
    "a condition on a tensor": ("x = self.cut(x)", "x = self.cut(x) if x else self.cut(x)"),
    "a change while it runs": ("x = self.cut(x)", "self.cut, x = self.cut, self.cut(x)"),
    "a size of a tensor": ("x = self.cut(x)", "x = self.cut(x[: len(x)])"),
    "a slice": ("x = self.cut(x)", "x = self.cut(x[:, :8])"),
    "frozen weights": (
        "self.out = nn.ReLU()",
        "self.out = nn.ReLU()\n        self.conv1.requires_grad_(False)",
    ),
    "a layer that is changed afterwards": (
        "self.out = nn.ReLU()",
        "self.out = nn.ReLU()\n        self.conv1.stride = 3",
    ),
    "a import of something else": ("import torch\n", "import os\nimport torch\n"),
    "an import too few": ("from torch import Tensor, nn", "from torch import nn"),
    "a syntax error": ("x = self.grow(x)", "x = = self.grow(x)"),
    "another network's input": (
        "self.fc1 = nn.Linear(4 * 6 * 6, 3)",
        "self.fc1 = nn.Linear(4 * 6 * 5, 3)",
    ),
    "a library changed": (
        "class Cell(nn.Module):",
        "nn.ReLU = nn.Tanh\n\n\nclass Cell(nn.Module):",
    ),
}
#: The same in the module for inference.
LOADING_FAULTS = {
    "another layer's numbers": ('take(left, "c2.1.weight")', 'take(left, "c1.weight")'),
    "another normalization": ('factor(left, "n1", 0.01)', 'factor(left, "last", 0.01)'),
    "another eps": ('factor(left, "q.1", 1e-5)', 'factor(left, "q.1", 1e-3)'),
    "the default eps": ('"n1", 0.01', '"n1", 1e-5'),
    "no square root": ("** -0.5", "** -1"),
    "the mean added": ("(take(left, \"c2.1.bias\") - ", "(take(left, \"c2.1.bias\") + "),
    "the mean not scaled": ('take(left, f"{norm}.running_mean") * scale', 'take(left, f"{norm}.running_mean")'),
    "pieces in another order": ("torch.cat([take(left, \"p.0.bias\"), shift])", "torch.cat([shift, take(left, \"p.0.bias\")])"),
    "pieces joined along another axis": ("torch.cat(weights, dim=0)", "torch.cat(weights, dim=1)"),
    "a weight not scaled": ('spread(c1) * take(left, "c1.weight")', 'take(left, "c1.weight")'),
    "weight and bias swapped": ('left, f"f1.2.{kind}"', 'left, "f1.2." + {"weight": "bias", "bias": "weight"}[kind]'),
    "the heads not left out": ('if not key.startswith("hint.")', "if key"),
    "a surplus not refused": ("        if left:\n            raise RuntimeError", "        if False:\n            raise RuntimeError"),
    "the state changed": ("left = {key: value for key, value in state.items() if not key.startswith(\"hint.\")}", "left = state; [left.pop(k) for k in list(left) if k.startswith(\"hint.\")]"),
    "nothing loaded": ("self.load_state_dict(loaded)", "pass"),
    "no method": ("load_training_state", "load_state"),
    "pieces swapped in forward": ("torch.cat((p, q), 1)", "torch.cat((q, p), 1)"),
    "a piece twice": ("torch.cat((p, q), 1)", "torch.cat((p, p), 1)"),
    "three pieces of two": ("p, q = self", "p, q, _ = self"),
    "a piece of another size": ("Reduction(4, 2, 3,", "Reduction(4, 3, 2,"),
    "another activation of the pieces": ("activation=nn.ReLU(inplace=True)", "activation=nn.ReLU()"),
    "a bias of the pieces lost": ("Reduction(4, 2, 3,", "Reduction(4, 2, 3, bias=False,"),
    "a relu not in place": ("self.r1 = nn.ReLU(inplace=True)", "self.r1 = nn.ReLU()"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused(fault: str) -> None:
    old, new = FAULTS[fault]
    wrong = NET.replace(old, new)
    assert wrong != NET, "the fault is nowhere"
    with pytest.raises(InvalidModule) as found:
        validate(wrong, models_of("net.arch"))
    line = found.value.place
    assert line is not None or fault in ("a network that is not exported", "a network forgotten")


@pytest.mark.parametrize("fault", LOADING_FAULTS)
def test_a_fault_for_inference_is_refused(fault: str) -> None:
    old, new = LOADING_FAULTS[fault]
    wrong = DEPLOYED.replace(old, new)
    assert wrong != DEPLOYED, "the fault is nowhere"
    with pytest.raises(InvalidModule):
        validate(wrong, {"Deployed": deploy(archdsl.load(HERE / "deployed.arch"))})


def test_the_message_names_both_places() -> None:
    wrong = NET.replace(
        "nn.AvgPool2d(3, stride=1, padding=1)", "nn.AvgPool2d(3, stride=2, padding=1)"
    )
    with pytest.raises(InvalidModule) as found:
        validate(wrong, models_of("net.arch"))
    number = wrong[: wrong.index("self.c = nn.Avg")].count("\n") + 1
    spec = (HERE / "net.arch").as_posix()
    assert str(found.value) == (
        "the module of Net is not what its spec says: `c` has stride=2; by the spec stride=1 (line "
        f"{number} of the module: `self.c = nn.AvgPool2d(3, stride=2, padding=1)`; {spec}:18: "
        "`avgpool 3 s1 p1`)"
    )
    wrong = NET.replace("x = self.cut(x)", "x = self.cut(skip)")
    with pytest.raises(
        InvalidModule, match=r"`cut` reads `skip\.out`; by the spec `mul` \(line \d+"
    ):
        validate(wrong, models_of("net.arch"))


# ── The same graph ───────────────────────────────────────────────────────────────────────────


def graphs_agree(source: str, models: dict[str, Model]) -> bool:
    found, wanted = recorded_graphs(source, models), expected_graphs(source, models)
    return all(
        networkx.utils.graphs_equal(found[name][mode], wanted[name][mode])
        for name in models
        for mode in (True, False)
    )


@pytest.mark.parametrize("path", SPECS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_the_graph_of_a_module_is_that_of_its_model(path: Path) -> None:
    models = archdsl.load_all(path)
    source = render_module(models)
    assert graphs_agree(source, by_class(models))
    for name, model in by_class(models).items():
        graph = expected_graphs(source, {name: model})[name][True]
        # Each layer is a node; a flattening is one more.
        assert sum(times or 0 for _, times in graph.nodes(data="times")) >= len(model.layers)


@pytest.mark.parametrize("text", STRUCTURES.values(), ids=STRUCTURES)
def test_the_graph_of_a_structure_is_that_of_its_model(text: str) -> None:
    model = archdsl.parse(text, input="8x8x4")
    assert graphs_agree(render_module([model]), by_class((model,)))
    deployed = deploy(model)
    source = render_deployments([deployed])
    assert graphs_agree(source, by_class((deployed.model,)))


def test_graphs_differ_where_the_flow_does() -> None:
    """The order of inputs is in the graph, and how often a layer is applied."""
    models = models_of("net.arch")
    assert graphs_agree(NET, models)
    for fault in (
        "two inputs of a concat swapped",
        "branches swapped",
        "a skip dropped",
        "the operands of a sum swapped",
        "a head in evaluation",
        "a layer applied twice",
        "another stride",
        "a concat of rows",
    ):
        assert not graphs_agree(NET.replace(*FAULTS[fault]), models), fault


# ── Stand-ins ────────────────────────────────────────────────────────────────────────────────


def parameters_of(function: Callable[..., object]) -> list[tuple[str, object, object]]:
    return [
        (p.name, p.kind, p.default)
        for p in inspect.signature(function).parameters.values()
        if p.name not in ("device", "dtype")
    ]


@pytest.mark.parametrize("name", stand_ins.LAYERS)
def test_signatures_of_layers_are_torchs(name: str) -> None:
    found, theirs = parameters_of(stand_ins.LAYERS[name]), parameters_of(getattr(nn, name))
    if name in ("Sigmoid", "Tanh"):  # they have nn.Module's, which takes nothing
        assert found == []
        return
    assert found == theirs[: len(found)]
    for (_, _, ours), (_, _, right) in zip(found, theirs, strict=False):
        assert type(ours) is type(right)
    # What a newer torch takes besides is refused.
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in theirs[len(found) :])


@pytest.mark.parametrize("name", stand_ins.INITIALIZERS)
def test_signatures_of_initializers_are_torchs(name: str) -> None:
    found = parameters_of(stand_ins.INITIALIZERS[name])
    assert found == parameters_of(getattr(nn.init, name))


def calls() -> list[Call]:
    found = []
    for example in EXAMPLES:
        model = archdsl.parse(example.text, input="x".join(map(str, example.input)))
        for node in model.layers:
            if isinstance(node.layer, UnaryLayer):
                call = node.layer.emit(model.nodes[node.inputs[0]].volume)
                found += [c for c in calls_within(call) if c.callee.startswith("nn.")]
    return found


def test_states_of_layers_are_torchs() -> None:
    """Keys and order, for each way in which a definition calls a layer; and no layer is unknown."""
    seen = set()
    for call in calls():
        name = call.callee.removeprefix("nn.")
        if name == "Sequential":
            continue
        seen.add(name)
        args = [arg.value for arg in call.args if arg.keyword is None]
        kwargs = {arg.keyword: arg.value for arg in call.args if arg.keyword is not None}
        bound = stand_ins.LAYERS[name](*args, **kwargs)
        module = getattr(nn, name)(*args, **kwargs)
        ours = [*stand_ins.parameters_of(name, bound), *stand_ins.buffers_of(bound)]
        assert ours == list(module.state_dict()), call
        assert ours[: len(dict(module.named_parameters()))] == list(dict(module.named_parameters()))
    assert seen <= stand_ins.LAYERS.keys() <= seen | {"Flatten", "Identity"}


def test_no_initializer_is_unknown() -> None:
    known = {f"nn.init.{name}" for name in stand_ins.INITIALIZERS}
    for page in INITIALIZERS.values():
        init = archdsl.parse(f"fc 10; {page.example}", input="4").init
        assert init is not None
        assert {init.emit(Code("w")).callee, init.emit_bias(Code("b")).callee} <= known


def test_names_of_modules_are_torchs() -> None:
    """What a module has already may not become a layer."""
    names = [n for n in dir(nn.Sequential()) if not n.startswith("_")]
    assert {*names} <= RESERVED_ATTRIBUTES


def test_torch_is_not_imported() -> None:
    script = (
        "import sys, archdsl\n"
        "from archdsl.validation import validate\n"
        f"archdsl.compile(*archdsl.load_all({str(ROOT / 'specs' / 'googlenet.arch')!r}))\n"
        "assert 'archdsl.validation' in sys.modules\n"
        "print([n for n in ('torch', 'networkx') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"


def test_a_module_is_left_as_it_was() -> None:
    """Validations do not hear of one another."""
    models = models_of("net.arch")
    for _ in range(2):
        validate(NET, models)
        with pytest.raises(InvalidModule):
            validate(NET.replace("range(3)", "range(2)"), models)
