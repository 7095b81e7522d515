"""Loops, phrases and arguments mean what is written out beside them."""

from __future__ import annotations

import pytest

from archdsl.frontend import read_models
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.text.source import Source

#: By name: a text, the same written out, and whether the modules have the same names, too.
PAIRS = {
    "for over a list": (
        "for n in [8, 16] { conv 3x3 n same relu; maxpool 2 }",
        "conv 3x3 8 same relu; maxpool 2; conv 3x3 16 same relu; maxpool 2",
        True,
    ),
    "for over a range": (
        "for i in 1..4 { conv 1x1 (2*i) }",
        "conv 1x1 2; conv 1x1 4; conv 1x1 6",
        False,
    ),
    "named for": (
        "a: for i in 0..2 { conv 1x1 (i + 1) relu }",
        "a: { { conv 1x1 1 relu }; { conv 1x1 2 relu } }",
        False,
    ),
    "for in for": (
        "for i in [1, 2] { for j in 0..i { conv 1x1 (10*i + j) } }",
        "conv 1x1 10; conv 1x1 20; conv 1x1 21",
        True,
    ),
    "no copies": ("relu; for i in 0..0 { conv 1x1 3 }; for i in [] { bn }", "relu", True),
    "range to a size": ("for i in 0..(C - 1) { conv 1x1 }", "conv 1x1; conv 1x1; conv 1x1", True),
    "elements": (
        "let ns = [3, 5]; conv 1x1 (ns[1]); conv 1x1 (ns[0] + len(ns) + sum(ns))",
        "conv 1x1 5; conv 1x1 13",
        True,
    ),
    "elements as arguments and counts": (
        "let ns = [1, 2]; conv ns[0] ns[1] stride=ns[0] relu ×ns[len(ns) - 1]; take(ns[0], 0)",
        "{ conv 1x1 2; relu } ×2; take 1 0",
        True,
    ),
    "names with values": (
        'for i in 0..2 { "conv{2*i + 1}": conv 1x1 3 }; add { conv1 | conv3 }',
        "conv1: conv 1x1 3; conv3: conv 1x1 3; add { conv1 | conv3 }",
        True,
    ),
    "names inside named copies": (
        'for i in 0..2 { "a{i}": { x: conv 1x1 3; y: relu; add { x | y } }; "b{i}": bn ×2 }',
        "a0: { x: conv 1x1 3; y: relu; add { x | y } }; b0: bn ×2\n"
        "a1: { x: conv 1x1 3; y: relu; add { x | y } }; b1: bn ×2",
        True,
    ),
    "phrase": (
        "phrase c(k, n) { conv k n same; relu }\nc(3, 8); c(1, 4)",
        "conv 3x3 8 same; relu; conv 1x1 4 same; relu",
        True,
    ),
    "named call of a phrase": (
        "phrase c(n) { conv 1x1 n; relu }\na: c(8); conv 1x1 8; add { a | id }",
        "a: { conv 1x1 8; relu }; conv 1x1 8; add { a | id }",
        True,
    ),
    "phrase in a phrase": (
        "phrase c(n) { conv 1x1 n }\nphrase d(n) { c(n); relu; c(2*n) }\nd(3)",
        "conv 1x1 3; relu; conv 1x1 6",
        True,
    ),
    "sizes of the place": (
        "phrase half() { conv 1x1 (C/2) }\nhalf(); half()",
        "conv 1x1 2; conv 1x1 1",
        True,
    ),
    "repeated phrase": ("phrase c() { conv 1x1; relu }\nc() ×2", "{ conv 1x1; relu } ×2", True),
    "a block for a parameter": (
        "block b(n) { conv 1x1 n; relu }\nblock twice(u: block, n) { u(n); u(n) }\ntwice(b, 3)",
        "block b(n) { conv 1x1 n; relu }\nblock twice(n) { b(n); b(n) }\ntwice(3)",
        True,
    ),
    "a phrase for a parameter": (
        "phrase b(n) { conv 1x1 n }\nblock twice(u: block, n) { u(n); u(n) }\ntwice(b, 3)",
        "block twice(n) { conv 1x1 n; conv 1x1 n }\ntwice(3)",
        True,
    ),
    "names of a phrase for a parameter": (
        "phrase p(n) { c: conv 1x1 n; relu }\nphrase q(u: block, n) { u(n); tanh }\n"
        "block b(u: block) { q(u, 4); add { c | id } }\nb(p)",
        "block b() { c: conv 1x1 4; relu; tanh; add { c | id } }\nb()",
        True,
    ),
    "a parameter handed on": (
        "block a(act: layer) { conv 1x1; act }\nblock b(f: layer) { a(f) }\nb(elu(0.5))",
        "block a() { conv 1x1; elu 0.5 }\nblock b() { a() }\nb()",
        True,
    ),
    "a layer from values of the caller": (
        "block a(act: layer) { act }\nblock b(s) { a(leakyrelu(s/2)) }\nb(0.5); b(0.25)",
        "leakyrelu 0.25; leakyrelu 0.125",
        False,
    ),
    "a default of the block's file": (
        "block r() { bn }\nblock a(u: block=r, f: layer=elu(0.5)) { u(); f }\na()",
        "block r() { bn }\nblock a() { r(); elu 0.5 }\na()",
        True,
    ),
    "a part": (
        "block up(n, s: part) { conv 1x1 n; add { s | id } }\na: conv 1x1 3; relu; up(3, a)",
        "a: conv 1x1 3; relu; conv 1x1 3; add { a | id }",
        False,
    ),
    "a cropped part": (
        "block up(a: part) { conv 3x3; concat { crop a | id } }\na: conv 1x1 3; relu; up(a)",
        "a: conv 1x1 3; relu; conv 3x3; concat { crop a | id }",
        False,
    ),
    "powers": (
        "conv 1x1 (2**3**1); conv 1x1 (-2**2 + 9); conv 1x1 (round(2**-1*8))",
        "conv 1x1 8; conv 1x1 5; conv 1x1 4",
        False,
    ),
    "rounded": (
        "conv 1x1 (round_to(8, 1.4*32)); conv 1x1 (round_to(8, 11)); conv 1x1 (round(log2(8)))",
        "conv 1x1 48; conv 1x1 16; conv 1x1 3",
        False,
    ),
    "computed sizes": (
        "let d = 3; conv size(1, d) 2 padding=size(0, 1); maxpool (size(2, 1))",
        "conv 1x3 2 p0x1; maxpool 2x1",
        True,
    ),
    "calls as arguments": ("conv 1x1 max(3, C//2) nobias", "conv 1x1 3 nobias", True),
}


def _model(text: str) -> Model:
    (model,) = read_models(Source(text, "spec.arch"), Volume.image(8, 8, 4))
    return model


@pytest.mark.parametrize("name", PAIRS)
def test_is_what_is_written_out(name: str) -> None:
    text, plain, has_names = PAIRS[name]
    found, wanted = _model(text), _model(plain)
    assert [(n.layer, n.inputs, n.volume) for n in found.nodes] == [
        (n.layer, n.inputs, n.volume) for n in wanted.nodes
    ]
    if has_names:
        assert found.names == wanted.names
