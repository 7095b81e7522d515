"""Texts whose modules computed something else, or did not run, each one of its kind.

A module was proved by its volumes and parameters alone, so these passed. What is right is what the
graph of a network says, and for the first what a network written by hand says.
"""

from __future__ import annotations

import types

import pytest
import torch
from oracle import run_source
from programs.judge import judge, network_builder
from torch import Tensor, nn

import archdsl
from archdsl.frontend import read_models
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.text.diagnostics import ArchError
from archdsl.text.source import Source


def computes(text: str, input: tuple[int, ...] | None = None) -> None:
    """Assert that the module of a file computes what the graphs of its networks say."""
    failure = judge(text, input=Volume(input) if input else None)
    assert failure is None, f"{failure.kind}: {failure.detail}"


def computes_or_is_refused(text: str, input: tuple[int, ...] | None = None) -> None:
    """The same, of what may be refused as well: at a place, and by no traceback."""
    try:
        archdsl.compile(*models_of(text, input))
    except ArchError as error:
        assert all(diagnostic.span is not None for diagnostic in error.diagnostics)
        return
    computes(text, input)


def models_of(text: str, input: tuple[int, ...] | None = None) -> tuple[Model, ...]:
    return read_models(Source(text, "kinds.arch"), Volume(input) if input else None)


def compiled(text: str, input: tuple[int, ...] | None = None) -> tuple[Model, types.ModuleType]:
    """The first network of a text, and the module."""
    models = models_of(text, input)
    return models[0], run_source(archdsl.compile(*models))


# ── Nested merges ────────────────────────────────────────────────────────────────────────────


class Twin(nn.Module):
    """``concat { conv 1 8; add { id | conv 3 8 same; mul { id | gap; conv 1; sigmoid } } | id }``,
    its layers in the order in which they run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 1)
        self.branch = nn.Conv2d(8, 8, 3, padding=1)
        self.factor = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        inside = self.conv(x)
        branch = self.branch(inside)
        factor = torch.sigmoid(self.factor(branch.mean((2, 3), keepdim=True)))
        return torch.cat((inside + branch * factor, x), 1)


NESTED = "concat { conv 1 8; add { id | conv 3 8 same; mul { id | gap; conv 1; sigmoid } } | id }"
BLOCK = f"block inner() {{ {NESTED} }}\n"
#: The same network where merges are named, stand in blocks, groups, families and heads.
AS_IT_IS = {
    "as it is": f"network V: 8x8x4 → 8x8x12 {{ {NESTED} }}",
    "in a block": f"{BLOCK}network V: 8x8x4 → 8x8x12 {{ inner() }}",
    "in a named call": f"{BLOCK}network V: 8x8x4 → 8x8x12 {{ part: inner() }}",
    "in a named group": f"network V: 8x8x4 → 8x8x12 {{ part: {{ {NESTED} }} }}",
    "in nested groups": f"network V: 8x8x4 → 8x8x12 {{ a: {{ b: {{ {NESTED} }} }} }}",
    "in a named merge": f"network V: 8x8x4 → 8x8x12 {{ part: {NESTED} }}",
    "in a copy": f"network V: 8x8x4 → 8x8x12 {{ part: {{ {NESTED} }} ×1 }}",
    "of blocks": "block factor() { mul { id | gap; conv 1; sigmoid } }\n"
    "block sum() { add { id | conv 3 8 same; factor() } }\n"
    "network V: 8x8x4 → 8x8x12 { concat { conv 1 8; sum() | id } }",
    "with an if": "block sum(b) { add { id | if b { conv 3 8 same; mul { id | gap; conv 1; sigmoid"
    " } } } }\nnetwork V: 8x8x4 → 8x8x12 { concat { conv 1 8; sum(true) | id } }",
    "of a family": f"network F(n): 8x8x4 → 8x8x12 {{ {NESTED.replace('conv 1 8', 'conv 1 n')} }}\n"
    "network V = F(8)",
}


@pytest.mark.parametrize("text", AS_IT_IS.values(), ids=AS_IT_IS)
def test_nested_merges_compute_what_a_person_would_write(text: str) -> None:
    model, module = compiled(text)
    network, twin = network_builder(module, model)(), Twin()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        theirs.data.copy_(ours)
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(network(x), twin(x), rtol=0, atol=1e-6)
    computes(text)


MERGES = {
    "three deep, sums": "add { conv 1 | tanh; add { conv 1 | tanh; add { conv 1 | tanh; conv 1 } } }",
    "three deep, behind layers": "add { id | conv 1; mul { id | conv 1; concat { id | conv 1; "
    "tanh }; conv 1 4 }; tanh } relu",
    "two inside": "concat { tanh; add { id | conv 1; tanh }; mul { id | conv 1; tanh } | conv 1; "
    "add { conv 1; tanh | id } }",
    "six branches": "concat { conv 1; tanh; add { id | conv 1; tanh } | "
    + " | ".join(
        ["conv 1; tanh; b: conv 1; add { b | id; tanh }".replace("b", f"b{i}") for i in range(6)]
    )
    + " }",
    "named inside": "add { tanh | a: conv 1; add { conv 1; tanh | tanh; b: conv 1 }; add { a | b } }",
    "a name in the second branch": "add { tanh | tanh; concat { tanh; a: conv 1; tanh | tanh }; "
    "conv 1 4 }",
    "in a repeat in a branch": "add { id | add { id | conv 1; add { id | conv 1; tanh } } ×3 }",
    "in a named repeat in a branch": "add { id | a: add { id | conv 1; add { id | conv 1; tanh } } "
    "×2; conv 1 }",
    "in a named group in a branch": "add { id | a: { conv 1; add { id | conv 1; mul { id | gap; "
    "conv 1 } } }; tanh }",
    "around a reference": "a: tanh; concat { tanh; mul { tanh | concat { a | id }; conv 1 4 } | a }",
    "with a crop": "a: conv 1; conv 3; concat { crop a | conv 1; add { crop a | conv 1; tanh } }",
    "of vectors": "concat { fc 8; add { id | fc 8; mul { id | tanh; fc 8 } } | fc 3 }",
}
IN_A_HEAD = [text for text in MERGES.values() if ":" not in text]
HEAD = "network N: 8x8x4 → 3 {{ conv 1; aux1: aux(0.3) {{ {}; fc 2 }}; {}; aux(1) {{ {}; fc 3 }}; fc 3 }}"
BLOCKS = "block cell(n) {{ {}; conv 1 n }}\nnetwork N: 8x8x4 → 2 {{ cell(4); a: cell(4) ×2; fc 2 }}"


@pytest.mark.parametrize("text", MERGES.values(), ids=MERGES)
def test_merges_in_merges(text: str) -> None:
    computes(text, (8, 8, 4))


@pytest.mark.parametrize("text", IN_A_HEAD)
def test_merges_in_merges_of_heads(text: str) -> None:
    computes(HEAD.format(text, text, text))


@pytest.mark.parametrize("text", MERGES.values(), ids=MERGES)
def test_merges_in_merges_of_blocks(text: str) -> None:
    computes(
        BLOCKS.format("conv 1 4; " + text.replace("fc 8", "linear 8").replace("fc 3", "conv 1"))
    )


# ── Names ────────────────────────────────────────────────────────────────────────────────────

PAIRS = [
    *(("y", "y_"), ("x", "x_"), ("copy", "copy_"), ("z", "z_"), ("a", "A"), ("a_b", "ab")),
    *(("ab", "aB"), ("torch", "torch_"), ("heads", "heads_"), ("class", "class_"), ("w", "w_")),
    *(("kept", "kept_"), ("y1", "y1_"), ("nn", "np"), ("self", "self_"), ("list", "range")),
    *(("forward", "forward_"), ("u", "v"), ("layers", "layers_"), ("lambda", "Lambda")),
    *(("branch1", "branch2"), ("conv1", "conv_"), ("None", "none"), ("Tensor", "tensor")),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize("frame", ["{}", "g: {{ {} }}", "g: {{ {} }} ×2"])
def test_names_that_could_be_one(one: str, other: str, frame: str) -> None:
    computes(
        frame.format(
            f"{one}: conv 3 8 same; relu; {other}: conv 3 8 same; relu; conv 1 4; "
            f"concat {{ {one} | {other} | id }}"
        ),
        (8, 8, 4),
    )


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_names_that_come_from_outside(one: str, other: str) -> None:
    computes(
        f"{one}: conv 1 3; {other}: conv 1 2; tanh; "
        f"g: {{ h: concat {{ {one} | {other} | id }} conv 1 4; concat {{ {one} | id }} }} ×2",
        (8, 8, 4),
    )


# ── Conditions and types ─────────────────────────────────────────────────────────────────────

POOL = "avgpool 3 s1 same"
CONDITIONS = {
    "nested": (
        f"block r(n, a, b) {{ add {{ conv 3 n same | if a {{ if b {{ {POOL} }} }} }} }}\n",
        "r(8, true, true); r(8, true, false)",
    ),
    "nested, the other way round": (
        f"block r(n, a, b) {{ add {{ conv 3 n same | if a {{ if b {{ {POOL} }} }} }} }}\n",
        "r(8, true, false); r(8, false, true); r(8, true, true)",
    ),
    "nested with an else": (
        f"block r(n, a, b) {{ add {{ conv 3 n same | if a {{ if b {{ {POOL} }} else {{ conv 1 n }} "
        "} else { tanh } } }\n",
        "r(8, true, true); r(8, true, false); r(8, false, true)",
    ),
    "a chain of else": (
        f"block r(n, k) {{ add {{ conv 3 n same | if k == 1 {{ {POOL} }} else if k == 2 {{ conv 1 "
        "n } else if k == 3 { id } else { tanh } } }\n",
        "r(8, 1); r(8, 2); r(8, 3); r(8, 4); r(8, 3)",
    ),
    "a let before": (
        f"block r(n, k) {{ let b = k * 2; add {{ conv 3 n same | if b > 4 {{ {POOL} }} }} }}\n",
        "r(8, 3); r(8, 2)",
    ),
    "a let of C before": (
        f"block r(n) {{ let c = C; conv 3 n same; add {{ conv 1 n | if C != c {{ {POOL} }} }} }}\n",
        "r(8); r(6); r(6)",
    ),
    "a let inside": (
        "block r(n, a) { if a { let m = n * 2; conv 1 m; tanh }; conv 1 n }\n",
        "r(8, true); r(8, false); conv 1 8",
    ),
    "of parameters and the volume": (
        "block r(n, s=1) { add { conv 3 n stride=s same | if s != 1 or C != n { conv 1 n stride=s "
        "} } }\n",
        "r(8); r(8, 2); r(6); r(6)",
    ),
    "in a row": (
        "block r(n, a) { conv 1 n; if a { bn; dropout 0.5 }; tanh }\n",
        "r(8, true); r(8, false)",
    ),
    "in blocks in blocks": (
        f"block i(a) {{ if a {{ {POOL} }} else {{ tanh }} }}\n"
        "block r(a, b) { if b { i(a) }; conv 1; i(not a) }\n",
        "r(true, true); r(false, true); r(true, false)",
    ),
    "with not, and, or": (
        f"block r(a, b, k) {{ add {{ conv 3 same | if not (a and b) or k % 2 == 1 {{ {POOL} }} }} }}\n",
        "r(true, true, 2); r(true, false, 2); r(true, true, 3)",
    ),
}


@pytest.mark.parametrize(("block", "calls"), CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("frame", ["{}", "g: {{ {} }}"])
def test_conditions_decide_in_each_call(block: str, calls: str, frame: str) -> None:
    computes(f"{block}network N: 8x8x8 → 2 {{ {frame.format(calls)}; fc 2 }}")
    computes(f"{block}network N: 8x8x8 → 2 {{ {frame.format(f'tanh; {calls}')}; fc 2 }}")


def test_the_second_call_has_no_pool() -> None:
    block, calls = CONDITIONS["nested"]
    model, module = compiled(
        f"{block}network N: 8x8x8 → 8x8x8 {{ a: {calls.replace(';', '; b:')} }}"
    )
    network = network_builder(module, model)()
    pools = [name for name, m in network.named_modules() if isinstance(m, nn.AvgPool2d)]
    assert [name.partition(".")[0] for name in pools] == ["a"]


TYPES = {
    "a kernel, a bias": (
        "block c(n, k, b) { conv k n same bias=b }",
        "c(8, 3, true); c(8, 1, false)",
    ),
    "a bias, a stride": (
        "block c(b, s) { conv 3 8 same bias=b stride=s }",
        "c(true, 1); c(false, 2)",
    ),
    "a slope, a stride": (
        "block outer(a, s) { leakyrelu negative_slope=a; conv 3 8 same stride=s }",
        "outer(1.0, 1); outer(2.0, 2)",
    ),
    "a slope, a stride, blocks in blocks": (
        "block inner(a, s) { elu alpha=a; conv 3 8 same stride=s }\n"
        "block outer(a, s) { inner(a, s); tanh }",
        "outer(1.0, 1); outer(2.0, 2)",
    ),
    "a slope, a stride of a let": (
        "block outer(a, k) { elu alpha=a; let s = k; conv 3 8 same stride=s }",
        "outer(1.0, 1); outer(2.0, 2)",
    ),
    "a slope, an expression for a stride": (
        "block inner(s) { conv 3 8 same stride=s }\n"
        "block outer(a, k) { elu alpha=a; inner(k + 0) }",
        "outer(1.0, 1); outer(2.0, 2)",
    ),
    "a default of another type": (
        "block c(k=1, n=C) { elu alpha=k; conv 3 n same }",
        "c(n=2); c(2.0, 3); c()",
    ),
    "whole numbers for a slope": (
        "block outer(a, s) { leakyrelu negative_slope=a; conv 3 8 same stride=s }",
        "outer(1, 1); outer(2, 2)",
    ),
    "channels, a padding, a bias": (
        "block c(n, p, b) { conv 3 n padding=p bias=b }",
        "c(1, 1, true); c(2, 0, false)",
    ),
    "an affine, groups": (
        "block c(g, a) { gn g affine=a; conv 1 8 groups=g }",
        "c(1, true); c(2, false)",
    ),
    "a count, a bias": (
        "block c(k, b) { a: { conv 1 8 bias=b } ×k }",
        "c(1, true); c(2, false)",
    ),
}


@pytest.mark.parametrize(("block", "calls"), TYPES.values(), ids=TYPES)
def test_types_are_part_of_a_value(block: str, calls: str) -> None:
    computes(f"{block}\nnetwork N: 8x8x8 → 2 {{ {calls}; fc 2 }}")


def test_no_padding_is_a_bias() -> None:
    block, calls = TYPES["a kernel, a bias"]
    text = archdsl.compile(*models_of(f"{block}\nnetwork N: 8x8x8 → 8x8x8 {{ {calls} }}"))
    assert "padding=b," not in text
    assert "padding=b)" not in text


# ── Parts referred to ──────────────────────────────────────────────────────────────────────────

OUTSIDE = "a: conv 1 3; b: conv 1 5; conv 1 8; "
RECALLS = {
    "of a branch of a named sum": "n: add { id | z: conv 3 8 same; relu }; conv 1 8; add { z | id }",
    "of a named sum, inside": "m: add { tanh | k: tanh; sigmoid }; add { k | m }",
    "of an outer part, in a named sum": "a: conv 1 8; tanh; m: add { tanh | k: a; sigmoid }; "
    "concat { k | a | id }",
    "in a repeated group": "l: { n: add { id | z: conv 3 8 same; relu }; conv 1 8; add { z | id } } ×2",
    "in a group": "l: { n: add { id | z: conv 3 8 same; relu }; conv 1 8; add { z | id } }; tanh",
    "behind the part": "c: concat { tanh | a: tanh }; a",
    "of a group in a branch": "c: concat { tanh | a: { tanh } }; concat { a | id }",
    "of a part in a named branch": "concat { u: concat { tanh | a: tanh } | b: a }",
    "of one group in another": "add { b: { tanh }; conv 1 8 | a: { c: b }; conv 1 8 }",
    "with a crop": "c: tanh; a: concat { b: c | crop b }",
    "with a new name": "y: tanh; b: { a: y }; concat { a2: y | id }",
    "alone inside groups": "a: relu; g: { h: { a } }",
    "alone inside groups, read again": "a: relu; conv 1 8; g: { h: { a } }; add { g | id }",
    "alone, in copies": "a: relu; conv 1 8; g: { h: { a }; conv 1 8 } ×2",
    "of copies that differ": f"{OUTSIDE}l: {{ if C == 8 {{ concat {{ a | id }} }} else {{ concat {{ b"
    " | id } }; conv 3 (2*8) same } ×2",
    "of copies of which one takes none": f"{OUTSIDE}l: {{ if C == 8 {{ concat {{ a | id }} }}; "
    "conv 3 (2*8) same } ×3",
    "of copies of which one is a row": "b: conv 1 5; a: { if C == 5 { crop b conv 1 1 } else { "
    "conv 1 5 } } ×2",
    "of copies of which one is empty": "b: conv 1 5; a: { if C != 5 { crop b conv 1 5 } } ×2",
    "of copies in another order": f"{OUTSIDE}l: {{ if C == 8 {{ concat {{ a | b }} }} else {{ concat "
    "{ b | a } }; conv 1 6 } ×2",
    "in nested copies": f"{OUTSIDE}l: {{ m: {{ concat {{ a | id }} conv 1 8 }} ×2; concat {{ b | id }} "
    "conv 1 8 } ×2",
    "twice the same": "a: conv 1 8; b: a; c: b; concat { a | b | c }",
    "of a name given again in a group": "a: conv 1 8; g: { conv 1 4; a: tanh; concat { a | id } }; "
    "concat { a | g }",
    "across copies, with a name inside alike": "b: { a: concat { c: tanh | tanh }; c tanh } ×2",
}


@pytest.mark.parametrize("text", RECALLS.values(), ids=RECALLS)
def test_parts_are_taken_up(text: str) -> None:
    computes_or_is_refused(text, (8, 8, 8))


@pytest.mark.parametrize("text", RECALLS.values(), ids=RECALLS)
def test_parts_are_taken_up_in_blocks(text: str) -> None:
    computes_or_is_refused(
        f"block cell() {{ {text} }}\n"
        "network N: 8x8x8 → 2 { x: cell(); conv 1 8; concat { cell() | x }; fc 2 }"
    )


# ── What is empty ────────────────────────────────────────────────────────────────────────────

EMPTY = "block e(n) { if n > 5 { conv 1x1 n } }\nblock i() { id }\n"
EMPTIES = {
    "alone": "conv 1 4; e(4)",
    "in both ways": "e(8); e(4); tanh",
    "in branches": "concat { e(4) | e(8) }",
    "in branches, both empty": "concat { e(4) | e(2) }",
    "repeated": "e(4) ×3; tanh",
    "named": "a: e(4); tanh",
    "named, referred to": "a: e(4); tanh; concat { a | id }",
    "named, referred to alone": "tanh; a: e(4); a",
    "named, cropped": "tanh; a: i(); crop a; tanh",
    "named, in a branch": "concat { a: e(4) | a }",
    "named and repeated": "a: e(4) ×2; concat { a | e(8) }",
    "in a named group": "a: { e(4) }; concat { a | tanh }",
    "in a group of several": "a: { e(4); i(); e(2) }; b: { tanh; e(4) }; concat { a | b }",
    "in copies": "a: { e(4); conv 1 4; e(8) } ×2; fc 2",
    "of nothing alone": "a: i(); b: i(); tanh; concat { a | b }",
    "in a head": "tanh; fc 2",
}


@pytest.mark.parametrize("text", EMPTIES.values(), ids=EMPTIES)
def test_blocks_may_be_empty(text: str) -> None:
    computes(f"{EMPTY}network N: 8x8x4 → 2 {{ {text}; fc 2 }}")
    computes(
        f"{EMPTY}block around() {{ {text.replace('; fc 2', '')} }}\n"
        "network N: 8x8x4 → 2 { conv 1 4; around(); b: around(); conv 1 4; around() ×2; fc 2 }"
    )


# ── Several networks in a file ───────────────────────────────────────────────────────────────

FILES = {
    "networks alike but for a capital": "network net: 8x8x4 → 8x8x2 { conv 1 2 }\n"
    "network Net: 8x8x4 → 8x8x3 { conv 1 3; tanh }",
    "members alike": "network F(n): 8x8x4 → n { fc n }\nnetwork net = F(1)\nnetwork Net = F(2)",
    "networks alike but for _": "network a_b: 8x8x4 → 8x8x2 { conv 1 2 }\n"
    "network aB: 8x8x4 → 8x8x3 { conv 1 3; tanh }\nnetwork a_B: 8x8x4 → 8x8x1 { conv 1 1 }",
    "a block and a network": "block net(n) { conv 1 n; tanh; add { id | conv 1 } }\n"
    "network Net: 8x8x4 → 8x8x2 { net(3); net(2) }",
    "blocks alike": "block cell(n) { conv 1 n; add { id | tanh } }\n"
    "block Cell(n) { conv 1 n; add { id | relu } }\nblock cell_(n) { conv 1 n; mul { id | tanh } }\n"
    "network N: 8x8x4 → 8x8x2 { cell(3); Cell(3); cell_(2) }",
    "names of torch": "block tensor(n) { conv 1 n; add { id | tanh } }\n"
    "block torch(n) { conv 1 n; add { id | sigmoid } }\n"
    "network nn: 8x8x4 → 8x8x2 { tensor(3); torch(2) }\nnetwork Tensor: 4 → 2 { fc 2 }",
    "names of helpers": "block channel_norm() { ln; tanh; add { id | ln } }\n"
    "block drop_path() { droppath 0.2; add { id | tanh } }\n"
    "network Crop: 8x8x4 → 6x6x8 { a: channel_norm(); conv 3 4; concat { crop a | drop_path() } }",
    "a family and its class": "network F(n, k=2): 8x8x4 → n { conv 1 k; tanh; fc n }\n"
    "network f = F(3)\nnetwork F_ = F(2, 4)",
    "a block of fc at two sizes": "block head(n) { fc n }\n"
    "network A: 8x8x4 → 3 { head(3) }\nnetwork B: 6x6x4 → 2 { head(2) }",
    "a block of fc at two sizes, with one argument": "block head(n) { fc n }\n"
    "network A: 8x8x4 → 3 { head(3) }\nnetwork B: 6x6x4 → 3 { head(3) }",
    "a default and fc at two sizes": "block head(n=4) { conv 3 n same; fc 3 }\n"
    "network A: 8x8x4 → 3 { head() }\nnetwork B: 6x6x4 → 3 { head(5) }",
    "a block of layers and fc at two sizes": "block head(n) { conv 3 n; relu; fc n; tanh }\n"
    "network A: 8x8x4 → 3 { head(3) }\nnetwork B: 6x6x4 → 2 { head(2) }\n"
    "network C: 5x9x2 → 2 { conv 1 4; a: head(2) }",
    "a block of fc, of images and vectors": "block head(n) { fc n; tanh }\n"
    "network A: 8x8x4 → 3 { head(3); head(3) }\nnetwork B: 6 → 2 { head(2) }",
    "a block of merges and fc at two sizes": "block head(n) { add { fc n | conv 3 2; fc n } }\n"
    "network A: 8x8x4 → 3 { head(3) }\nnetwork B: 6x6x4 → 2 { head(2) }",
    "a block with C at two sizes": "block head() { let c = C; conv 1 (c * 2); fc c }\n"
    "network A: 8x8x4 → 4 { head() }\nnetwork B: 6x6x3 → 3 { head() }",
    "same at two sizes": "block pool() { maxpool 3 s2 same; conv 2 same; conv 5 s2 same }\n"
    "network A: 8x8x4 → 2x2x4 { pool() }\nnetwork B: 9x7x4 → 3x2x4 { pool() }",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_networks_of_one_file(text: str) -> None:
    computes_or_is_refused(text)


PARAMETERS = {
    "a default before a required one": "block c(k=3, n) { conv k n same; tanh }\n"
    "network N: 8x8x4 → 2 { c(n=4); c(1, 6); c(k=5, n=2); fc 2 }",
    "a default of a default": "block c(n=4, k=n, m=n + k) { conv 1 n; conv 1 k; conv 1 m }\n"
    "network N: 8x8x4 → 2 { c(); c(2); c(2, m=3); c(k=1); fc 2 }",
    "a default of C": "block c(n=C, b=n > 4) { conv 1 (n * 2) bias=b; tanh }\n"
    "network N: 8x8x4 → 2 { c(); c(3); c(b=true); c(); fc 2 }",
    "a pair and defaults": "block c(r→n, k=3, s) { conv 1 r; conv k n stride=s same }\n"
    "network N: 8x8x4 → 2 { c(2→4, s=1); c(r=3→2, k=1, s=2); fc 2 }",
    "defaults in a family": "network F(k=3, n): 8x8x4 → n { conv k 4 same; fc n }\n"
    "network A = F(n=2)\nnetwork B = F(1, 3)",
    "names of Python": "block c(class, lambda=2, None=true) { conv 1 class bias=None; conv 1 lambda }\n"
    "network N: 8x8x4 → 2 { c(3); c(4, 5, false); c(None=false, class=2); fc 2 }",
    "names of the code": "block c(x, torch, nn=2, np=3, self=1) { conv 1 x; conv 1 torch; conv 1 nn; "
    "conv 1 np; conv 1 self }\nnetwork N: 8x8x4 → 2 { c(3, 2); c(4, 5, 6, 7, 8); fc 2 }",
    "names of arguments": "block c(in_channels, out_channels, kernel_size=3, bias=true) { conv "
    "kernel_size out_channels same bias=bias; conv 1 in_channels }\n"
    "network N: 8x8x4 → 2 { c(3, 2); c(4, 5, 1, false); fc 2 }",
}


@pytest.mark.parametrize("text", PARAMETERS.values(), ids=PARAMETERS)
def test_parameters(text: str) -> None:
    computes(text)


# ── For inference ────────────────────────────────────────────────────────────────────────────

TINY = """
block basic_block(n, s=1) {
  add {
    | conv 3x3 n stride=s padding=1 nobias bn relu; conv 3x3 n same nobias bn
    | if s != 1 or C != n { conv 1x1 n stride=s nobias bn } else { id }
  }
  relu
}
network Tiny: 32x32x3 → 10 {
  conv 3x3 16 same nobias bn relu
  layer1: basic_block(16) ×2
  layer2: { basic_block(32, 2); basic_block(32) }
  gap; fc 10
}
"""
INFERENCE = {
    "an optional branch without a name": TINY,
    "a normalization behind a block in one use": "block act() { tanh }\n"
    "block cell(b) { conv 1 4; act(); if b { bn }; tanh; conv 1 4 }\n"
    "network N: 8x8x4 → 2 { cell(true); cell(false); fc 2 }",
    "one behind a block's convolution in one use": "block one(n) { conv 1 n }\n"
    "block cell(b) { one(4); if b { bn }; tanh }\n"
    "network N: 8x8x4 → 2 { cell(true); cell(false); fc 2 }",
    "blocks with an optional one": "block cell(n, b) { conv 3 n same; if b { bn relu } }\n"
    "network N: 8x8x4 → 2 { cell(4, true); cell(4, false); a: { cell(3, true) ×2 }; fc 2 }",
    "dropout beside a block in a block": "block inner() { conv 1x1 2 }\nblock outer() { inner() }\n"
    "network N: 8x8x4 → 2 { concat { outer() | dropout 0.5; outer() }; fc 2 }",
    "reductions of blocks": "block one() { conv 1 }\nblock two() { concat { one() | one() } }\n"
    "network N: 8x8x2 → 8x8x4 { two(); init he }",
    "a block of a normalization in copies": "block one() { bn }\nnetwork N: 8x8x2 → 8x8x2 {\n"
    "  conv 1; a: { one(); concat { one() | id }; conv 1 2 } ×2\n}",
    "a part and its dropout": "network N: 8x8x4 → 8x8x4 { y: tanh; c: { b: y dropout } }",
    "an empty call, referred to": f"{EMPTY}network N: 8x8x4 → 8x8x8 {{ a: i(); concat {{ a | tanh }} }}",
    "dropout alone in a block": "block d(p) { dropout p }\nblock cell() { conv 1 4; d(0.5); bn }\n"
    "network N: 8x8x4 → 2 { cell(); a: d(0.1); cell(); concat { a | id }; fc 2 }",
}


@pytest.mark.parametrize("text", INFERENCE.values(), ids=INFERENCE)
def test_networks_for_inference(text: str) -> None:
    computes(text)


# ── Texts around the code ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [*range(1, 31)])
@pytest.mark.parametrize("length", [3, 4, 5])
def test_titles_wrap_anywhere(count: int, length: int) -> None:
    names = [f"N{'a' * (length - 3)}{number:02}" for number in range(count)]
    text = "\n".join(f"network {name}: 4 → 2 {{ fc 2 }}" for name in names)
    for inference in (False, True):
        source = archdsl.compile(*models_of(text), inference=inference)
        found = vars(run_source(source)).keys()
        assert set(names) <= found or {name.lower() for name in names} <= found


@pytest.mark.parametrize("length", [20, 60, 70, 75, 79, 80, 81, 90, 120, 300])
def test_a_name_may_be_long(length: int) -> None:
    computes(f"network N{'a' * (length - 1)}: 4 → 2 {{ fc 2 }}")
    computes(
        f"block b{'a' * (length - 1)}() {{ conv 1; add {{ id | tanh }} }}\n"
        f"network N: 4x4x2 → 2 {{ b{'a' * (length - 1)}(); fc 2 }}"
    )


@pytest.mark.parametrize(
    "words", ['"""', "a \\", 'ends in "', "\\N{DASH}", "a" * 200, "'''", "# archdsl", "é → ×"]
)
def test_comments_may_say_anything(words: str) -> None:
    computes(
        f"# {words}\nblock b() {{\n  # {words}\n  conv 1 2  # {words}\n  add {{ id | tanh }}\n}}\n"
        f"# {words}\nnetwork N: 4x4x2 → 2 {{\n  b()  # {words}\n  # {words}\n  fc 2\n}}\n"
    )
