"""From spec to module and back: modules that archdsl generates are the networks they came from.

What is compared are the modules of the layers and their volumes. What the text of a module does not
say stays open: in which words a layer was written, and how its weights start.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from conftest import ROOT
from imports import SMALL, inputs_of
from torch import Tensor, nn

import archdsl
from archdsl.codegen import entry_name
from archdsl.compilation import compile_module
from archdsl.importing.errors import NotInTheLanguage
from archdsl.importing.from_torch import helpers
from archdsl.importing.importer import Imported, import_torch
from archdsl.layers import REGISTRY, Example, Layer, UnaryLayer
from archdsl.layers.call import Arg, Call
from archdsl.layers.plumbing import Crop, Pad
from archdsl.layers.rearrangement import LayerScale
from archdsl.layers.tokens import PositionEmbedding
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.torch_tools.network import load_module, load_network

#: Layers whose sums PyTorch adds up by where their numbers are in memory.
ROUNDED = {"attend"}


def again(model: Model) -> Imported:
    """A network, from its module."""
    torch.manual_seed(0)
    module = load_network(compile_module((model,)), entry_name(model))
    made = import_torch(module, model.name, inputs_of(model, module), "spec")
    assert made.is_exact or any(node.layer.name in ROUNDED for node in model.layers)
    for one, other in zip(made.state.values(), module.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    return made


def modules_of(model: Model) -> list[tuple[object, Volume]]:
    """What is compared of a network: its modules, those left out that change nothing."""
    return [
        (module, node.volume)
        for node in model.layers
        for module in _modules(node.layer, tuple(model.nodes[i].volume for i in node.inputs))
    ]


def _modules(layer: Layer, inputs: tuple[Volume, ...]) -> Iterator[object]:
    """The modules of a layer with their arguments; padding and reshaping belong to others."""
    if isinstance(layer, Crop | Pad):
        return
    if isinstance(layer, LayerScale | PositionEmbedding) or not isinstance(layer, UnaryLayer):
        yield layer.name  # the numbers of the two are those before training
        return
    call = layer.emit(inputs[0])
    parts = [a.value for a in call.args] if call.callee == "nn.Sequential" else [call]
    for part in parts:
        assert isinstance(part, Call)
        if not re.fullmatch(r"nn\.(\w*Pad\dd|Identity|Flatten|Unflatten)", part.callee):
            yield part.callee, tuple(a for a in part.args if not _is_default(a))


def _is_default(argument: Arg) -> bool:
    if argument.keyword == "shift":
        return True  # that of a single window does nothing
    return argument.keyword is not None and argument.value == argument.default


#: Small networks; the largest of them takes a few seconds.
SPECS = [
    "inception_naive",
    "inception_reduced",
    "lenet5",
    "lenet5_1998",
    "nin_cifar10",
    "one_by_one",
    "torchvision/mobilenet_v3",
    "torchvision/shufflenet_v2",
    "zoo/convnext",
    "zoo/crnn",
    "zoo/dcgan",
    "zoo/m5",
    "zoo/pointnet",
    "zoo/swin",
    "zoo/textcnn",
]


@pytest.mark.parametrize("spec", SPECS)
def test_specs_come_back(spec: str) -> None:
    (model, *_) = archdsl.load_all(ROOT / "specs" / f"{spec}.arch")
    made = again(model).model
    assert modules_of(made) == modules_of(model)
    assert made.trunk.parameters == model.trunk.parameters
    assert made.trunk.macs == model.trunk.macs


#: What the first line of a network with several inputs has.
SEVERAL = re.compile(r"^network [^\n{]*: *\([^)]*,[^)]*\) *→", re.MULTILINE)


def _with_several_inputs() -> Iterator[Model]:
    """Those of the specs, and of the page of the language."""
    for path in sorted((ROOT / "specs").rglob("*.arch")):
        if SEVERAL.search(path.read_text("utf-8")):
            yield from (one for one in archdsl.load_all(path) if len(one.inputs) > 1)
    page = (ROOT / "docs" / "language.md").read_text("utf-8")
    for text in re.findall(r"```arch\n(.*?)```", page, re.DOTALL):
        if SEVERAL.search(text):
            yield archdsl.parse(text)


@pytest.mark.parametrize("model", [*_with_several_inputs()], ids=lambda model: model.name)
def test_several_inputs_come_back(model: Model) -> None:
    """The same inputs and results, and the same layers, though maybe in another order."""
    module = load_network(compile_module((model,)), entry_name(model))
    made = import_torch(module, model.name, inputs_of(model, module), "spec").model
    assert made.signature == model.signature
    assert Counter(map(repr, modules_of(made))) == Counter(map(repr, modules_of(model)))
    assert (made.trunk, made.depth) == (model.trunk, model.depth)


def test_specs_with_several_inputs_are_found() -> None:
    names = {model.name for model in _with_several_inputs()}
    assert names >= {"Siamese", "Pairs", "Decoder"}


#: What modules do not show, or what is refused.
OPEN = {
    "extern": "a module of others",
    "kept: id": "a network without a layer",
    "| conv 1x1 | id": "sums of three are sums of two",
    "| fc 8 | fc 8": "the same",
    "conv 1 1 | conv 1 | gap": "the same",
    "avgpool 2 s1 same": "zeros that are padded apart",
    "maxpool 3 s2 same": "-infinity that is padded apart",
    "maxpool 3 s1 d2 same": "the same",
    "maxpool 2 s2 same": "the same",
    "sample": "numbers that are drawn",
}
#: One example of each layer, and all of those that have helper classes.
SHOWN = [
    example
    for layer in REGISTRY.values()
    for example in (layer.examples if layer.helpers() else layer.examples[:1])
    if not any(words in example.text for words in OPEN)
]


@pytest.mark.parametrize("example", SHOWN, ids=lambda example: f"{example.text} {example.input}")
def test_examples_come_back(example: Example) -> None:
    model = archdsl.parse(example.text, input=example.input)
    made = again(model).model
    assert modules_of(made) == modules_of(model)
    assert made.output == model.output


# ── Classes that are no helpers ──────────────────────────────────────────────────────────────


class Scale(nn.Module):
    """Of the same name as a helper class, and something else."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.bias + self.weight


def test_a_class_is_known_by_its_code() -> None:
    source = REGISTRY["scale"].helpers()["Scale"]
    imports = "import torch\nfrom torch import Tensor, nn\n\n\n"
    written = load_module(imports + source).Scale
    assert helpers.helper_of(written(3)) == "Scale"
    assert helpers.helper_of(Scale(3)) is None
    for old, new in (
        ("x * self.weight", "x + self.weight"),  # another operation
        ("torch.ones", "torch.zeros"),  # another function
        ("nn.Module", "nn.Sequential"),  # another class behind it
        ("    def forward", "    def extra_repr(self):\n        return ''\n\n    def forward"),
    ):
        assert old in source
        other = load_module(imports + source.replace(old, new)).Scale
        assert helpers.helper_of(other(3)) is None
    # The same text, where a name in it means something else.
    other = load_module(imports + "class torch(torch.Tensor): ones = zeros = None\n" + source)
    assert helpers._functions(other.Scale).keys() == helpers._functions(written).keys()
    assert not all(
        helpers._is_same(function, helpers._functions(written)[name])
        for name, function in helpers._functions(other.Scale).items()
    )


def test_a_class_of_the_same_name_is_traced() -> None:
    with pytest.raises(NotInTheLanguage, match=r"the parameter `0.weight` belongs to no layer"):
        import_torch(nn.Sequential(Scale(3)), "Net", SMALL, "net.py:Net")
