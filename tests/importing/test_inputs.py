"""Several inputs: which there are, what they are called, and that each is compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import ROOT
from imports import bare_body_of, imported
from oracle import build
from torch import Tensor, nn
from torch.nn import functional as F

import archdsl
from archdsl.frontend import as_inputs
from archdsl.importing import importer
from archdsl.importing.errors import NotInTheLanguage, NotTheSame, WrongSource

PAIR = as_inputs("left: 16x16x3, right: 16x16x3")
TWO = as_inputs("x: 8x8x3, y: 8x8x3")


def _tower(channels: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


class Siamese(nn.Module):
    """One tower for two images; what is done with its results is given."""

    def __init__(self, join: Callable[[Tensor, Tensor], Any], turned: bool = False) -> None:
        super().__init__()
        self.tower, self.join, self.turned = _tower(), join, turned

    def forward(self, left: Tensor, right: Tensor) -> Any:
        if self.turned:
            second = self.tower(right)
            return self.join(self.tower(left), second)
        return self.join(self.tower(left), self.tower(right))


class Written(nn.Module):
    """Two convolutions, and a forward that is given."""

    def __init__(self, function: Callable[[Written, Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return self.function(self, x, y)


def test_a_shared_tower() -> None:
    made = imported(Siamese(lambda a, b: torch.abs(a - b)), PAIR)
    assert made.is_exact
    assert bare_body_of(made) == [
        "network Net: (left: 16x16x3, right: 16x16x3) → 8 {",
        "  sub {",
        "    | tower: { conv 3x3 8 relu gap flatten }",
        "    | right",
        "      reuse tower",
        "  }",
        "  abs",
        "}",
    ]
    assert "2 random images of 16x16x3 and 16x16x3, 2 gradients" in made.text
    assert build(made.model).load_state_dict(made.state, strict=True)


def test_a_tower_that_runs_first_for_the_second_input() -> None:
    """What is run again stands behind what it runs, in the order in which they ran."""
    made = imported(Siamese(lambda a, b: a - b, turned=True), PAIR)
    assert made.is_exact
    assert bare_body_of(made)[1:] == [
        "  right",
        "  tower: { conv 3x3 8 relu gap flatten }",
        "  left",
        "  sub { reuse tower | tower }",
        "}",
    ]


class Averaged(nn.Module):
    """A tower that keeps averages, in which the order of its runs shows."""

    def __init__(self, function: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.function = function

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return self.function(self.tower, x, y, z)


def _in_turn(order: str, join: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Averaged:
    """The tower runs for its inputs in some order."""

    def function(tower: nn.Module, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        given = {"x": x, "y": y, "z": z}
        made = {name: tower(given[name]) for name in order}
        return join(made["x"], made["y"], made["z"])

    return Averaged(function)


@pytest.mark.parametrize("order", ["xyz", "xzy", "yxz", "yzx", "zxy", "zyx"])
@pytest.mark.parametrize(
    "join",
    [
        lambda a, b, c: torch.cat([a, b, c], 1),
        lambda a, b, c: (a - b) - (a - c),
        lambda a, b, c: a * b + c,
    ],
    ids=["concat", "differences", "sum"],
)
def test_runs_in_any_order(order: str, join: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    made = imported(_in_turn(order, join), as_inputs("x: 8x8x3, y: 8x8x3, z: 8x8x3"))
    assert made.is_exact
    assert made.text.count("reuse tower") == 2


def test_runs_in_another_order_within_a_part() -> None:
    """What flows into the part has no name, so an `id` has one."""

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = _tower()

        def forward(self, x: Tensor) -> Tensor:
            second = self.tower(F.relu(x))
            return self.tower(x) - second  # type: ignore[no-any-return]

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = Part(), Part()

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.one(x) * self.two(y)  # type: ignore[no-any-return]

    made = imported(Both(), TWO)
    assert made.is_exact
    assert "  part1: id; relu" in made.text


@pytest.mark.parametrize(
    ("join", "results"),
    [
        (lambda a, b: (a, b), "(tower: 8, tower_1: 8)"),
        (lambda a, b: {"anchor": a, "other": b}, "(anchor: 8, other: 8)"),
        (lambda a, b: {"left": a, "right": b}, "(left: 8, right: 8)"),
        (lambda a, b: torch.cat([b, a], 1), "16"),
        (lambda a, b: torch.maximum(b, a), "8"),
    ],
)
def test_joins_of_a_shared_tower(join: Callable[[Tensor, Tensor], Any], results: str) -> None:
    made = imported(Siamese(join), PAIR)
    assert made.is_exact
    assert made.model.signature.endswith(f"→ {results}")


@pytest.mark.parametrize(
    ("function", "lines"),
    [
        (lambda net, x, y: net.a(x) + net.b(y), ["    | y", "      b: conv 3x3 3 same"]),
        (lambda net, x, y: net.b(net.a(x) * torch.sigmoid(y)) + y, ["    | y"]),
        (lambda net, x, y: net.b(net.a(y) - x) + x * y, []),
        (lambda net, x, y: net.b(net.a(y)), ["  y"]),  # the first is not used
        (lambda net, x, y: net.b(net.a(x)), []),  # nor here the second
        (lambda net, x, y: net.b(net.a(x.add_(y))) + y, []),  # in place
    ],
)
def test_ways_from_inputs(
    function: Callable[[Written, Tensor, Tensor], Any], lines: list[str]
) -> None:
    made = imported(Written(function), TWO)
    assert made.text.count("(x: 8x8x3, y: 8x8x3) → 8x8x3 {") == 1
    for line in lines:
        assert line in bare_body_of(made)
    assert made.is_exact


def test_results_that_need_what_is_in_branches() -> None:
    """A merge with a name keeps the names in it for itself, so the name is that of an `id`."""

    def crossed(net: Written, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(2):
            x, y = F.relu(net.b(y)) + x, F.relu(x)
        return net.a(x) + x, y

    made = imported(Written(crossed), TWO)
    assert made.is_exact
    assert made.model.signature == "(x: 8x8x3, y: 8x8x3) → (out1: 8x8x3, out2: 8x8x3)"


def test_two_towers_and_a_vector() -> None:
    class Three(nn.Module):
        """Its inputs are called like its parts."""

        def __init__(self) -> None:
            super().__init__()
            self.image, self.depth, self.fc = _tower(), _tower(1), nn.Linear(18, 4)

        def forward(self, image: Tensor, depth: Tensor, i: Tensor) -> Tensor:
            return self.fc(torch.cat([self.image(image), self.depth(depth), i], 1))  # type: ignore[no-any-return]

    made = imported(Three(), as_inputs("image: 16x16x3, depth: 12x12x1, i: 2"))
    inputs = "(image_input: 16x16x3, depth_input: 12x12x1, i_input: 2)"
    assert made.model.signature == f"{inputs} → 4"
    assert [*made.state][:2] == ["image.0.weight", "image.0.bias"]


class Label(nn.Module):
    """Noise and the number of a class, as in conditional networks."""

    def __init__(self, is_turned: bool = False) -> None:
        super().__init__()
        self.classes, self.fc, self.is_turned = nn.Embedding(7, 5), nn.Linear(9, 4), is_turned

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        label = label.long() if self.is_turned else label
        return self.fc(torch.cat([z, self.classes(label).flatten(1)], 1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("is_turned", [False, True])
def test_words_beside_numbers(is_turned: bool) -> None:
    made = imported(Label(is_turned), as_inputs("z: 4, label: 1"))
    assert made.is_exact
    assert "embedding 7 5" in made.text


class Optional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(
        self,
        x: Tensor,
        scale: float | None = None,
        mask: Tensor | None = None,
        *,
        deep: bool = True,
    ) -> Tensor:
        x = self.conv(x)
        x = x if mask is None else x * mask
        return F.relu(x) if deep and scale is None else x


class ByName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor, *, y: Tensor) -> Tensor:
        return self.conv(x) - y  # type: ignore[no-any-return]


class ByPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.by_name = ByName()

    def forward(self, x: Tensor, y: Tensor, /) -> Tensor:
        return self.by_name(y=x, x=y)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "given", "inputs"),
    [
        (Optional(), "8x8x3", "8x8x3"),
        (Optional(), "x: 8x8x3", "8x8x3"),
        (Optional(), "mask: 8x8x3, x: 8x8x3", "(x: 8x8x3, mask: 8x8x3)"),
        (ByName(), "y: 8x8x3, x: 8x8x3", "(x: 8x8x3, y: 8x8x3)"),
        (ByPlace(), "x: 8x8x3, y: 8x8x3", "(x: 8x8x3, y: 8x8x3)"),
    ],
)
def test_arguments_of_forward(module: nn.Module, given: str, inputs: str) -> None:
    """They come in the order of `forward`; those with a value keep it, unless they are named."""
    made = imported(module, as_inputs(given))
    assert made.model.signature == f"{inputs} → 8x8x3"
    assert made.is_exact
    assert ("mul" in made.text) is ("mask" in given)


@pytest.mark.parametrize(
    ("module", "given", "said"),
    [
        (
            ByPlace(),
            "8x8x3",
            'Net takes 2 inputs: give the volume of each by its name, such as `--input "x: 8x8x3, '
            'y: 8x8x3"`',
        ),
        (ByPlace(), "x: 8x8x3", "Net needs the volume of `y` as well; its inputs are `x`, `y`"),
        (ByPlace(), "x: 8x8x3, y: 8x8x3, z: 3", "Net has no input `z`; its inputs are `x`, `y`"),
        (nn.ReLU(), "x: 8x8x3", "Net has no input `x`; its input is `input`"),
    ],
)
def test_inputs_that_do_not_fit(module: nn.Module, given: str, said: str) -> None:
    with pytest.raises(WrongSource) as caught:
        imported(module, as_inputs(given))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda net, x, y: (net.b(net.a(x)), y), "it returns what flows into it"),
        (
            lambda net, x, y: net.b(net.a(x)) + y if net.training else net.b(net.a(x)),
            "other steps in training than in evaluation",
        ),
        (lambda net, x, y: net.b(net.a(x)) if y.sum() > 0 else x, "cannot follow it"),
        (lambda net, x, y: net.b(net.a(torch.cat([x, y], 0))), "`torch.cat` along 0"),
        (lambda net, x, y: net.b(net.a(x)) + y.detach(), "`Tensor.detach` is not in the"),
        (lambda net, x, y: net.b(net.a(x)) + y[:, :2], "branches of `add` differ in channels"),
    ],
)
def test_what_is_refused(function: Callable[[Written, Tensor, Tensor], Any], reason: str) -> None:
    with pytest.raises(NotInTheLanguage, match=reason):
        imported(Written(function), TWO)


@pytest.mark.parametrize(
    ("written", "wrong"),
    [("| y", "| x"), ("b: conv 3x3 3 same", "b: conv 3x3 3 same; relu")],
)
def test_each_input_is_compared(monkeypatch: pytest.MonkeyPatch, written: str, wrong: str) -> None:
    """A text that reads another input, or does something else with one, is not written."""
    write = importer.write_spec
    monkeypatch.setattr(importer, "write_spec", lambda *g: write(*g).replace(written, wrong, 1))
    with pytest.raises(NotTheSame):
        imported(Written(lambda net, x, y: net.a(x) - net.b(y)), TWO)


def test_gradients_of_each_input_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    load = importer.compare.__globals__["load_network"]

    def detached(source: str, name: str) -> nn.Module:
        network: nn.Module = load(source, name)
        network.b.register_forward_pre_hook(lambda module, args: (args[0].detach(),))
        return network

    monkeypatch.setitem(importer.compare.__globals__, "load_network", detached)
    with pytest.raises(NotTheSame, match="the gradient of the input `y` is there in one"):
        imported(Written(lambda net, x, y: net.a(x) - net.b(y)), TWO)


def test_python() -> None:
    sizes = {"right": (16, 16, 3), "left": "16x16x3"}
    model = archdsl.from_torch(Siamese(torch.sub), input=sizes)
    assert model.signature == "(left: 16x16x3, right: 16x16x3) → 8"
    same = archdsl.from_torch(Siamese(torch.sub), input="left: 16x16x3, right: 16x16x3")
    assert same.source.text.splitlines()[4:] == model.source.text.splitlines()[4:]
    assert archdsl.from_torch(nn.ReLU(), input=[8, 8, 3]).signature == "8x8x3 → 8x8x3"  # type: ignore[arg-type]
    with pytest.raises(WrongSource, match="ReLU needs the volume of `input` as well"):
        archdsl.from_torch(nn.ReLU(), input={})
    with pytest.raises(ValueError, match="is not `left: 28x28x1, right: 28x28x1`, or a volume"):
        archdsl.from_torch(Siamese(torch.sub), input="left: 16x16x3, left: 16x16x3")


def test_names_that_begin_with_an_underscore() -> None:
    """They are PyTorch's own in the module of a spec, and no words of the language."""

    class Private(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._stem, self.größe = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, _: Tensor) -> Tensor:
            y = self._stem(_)
            return self.größe(y) + self.größe(F.relu(y))  # type: ignore[no-any-return]

    made = imported(Private())
    assert "stem: conv 1x1 3" in made.text
    assert [*made.state] == ["stem.weight", "stem.bias", "gr__e.weight", "gr__e.bias"]


def test_the_example_of_the_page_is_what_it_prints() -> None:
    page = (ROOT / "docs" / "import.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (source,) = (block for block in blocks if "class Siamese" in block)
    names: dict[str, Any] = {}
    exec(source, names)
    model = archdsl.from_torch(names["Siamese"](), input="left: 105x105x1, right: 105x105x1")
    lines = [line for line in model.source.text.splitlines() if not line.startswith("#")]
    assert "\n".join(lines).strip() in page
