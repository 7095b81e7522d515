"""Copies that are not elaborated are the ones that elaboration would make."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from conftest import ROOT
from programs.generate import generate

from archdsl.classplan import name_nodes, plan_modules
from archdsl.elaborate import builder, copies, elaborate
from archdsl.elaborate.placing import MAX_LAYERS
from archdsl.frontend import diagnose, read_beside, read_models
from archdsl.layers.volume import Volume
from archdsl.network.elaborated import Elaborated
from archdsl.network.parts import RepeatPart
from archdsl.network.renumbering import LazyCopies
from archdsl.text.parser import parse_program
from archdsl.text.source import Source

SPECS = sorted((ROOT / "specs").rglob("*.arch"))
IMAGE = Volume((28, 28, 16))


#: A place is one of its source: both read the same.
read = cache(read_beside)


def contents(network: Elaborated) -> tuple[object, ...]:
    """What elaboration finds."""
    return network.nodes, network.chain, network.volumes, network.expects, network.outputs


def names_of(network: Elaborated, *, for_names: bool) -> dict[int, str]:
    """The names of all nodes, by the plan for names or by the whole one."""
    plan = plan_modules(
        network.name, network.nodes, network.chain, network.outputs, for_names=for_names
    )
    return name_nodes(plan, network.nodes)


def compare(source: Source, input: Volume | None, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many copies were made, after they were compared with elaborated ones."""
    made: list[int] = []

    def follow(*arguments: Any) -> LazyCopies:
        made.append(arguments[-1])
        return copies.follow(*arguments)

    def called(*arguments: Any) -> copies.CalledMove:
        made.append(1)
        return copies.CalledMove(*arguments)

    with monkeypatch.context() as counting:
        counting.setattr(builder, "follow", follow)
        counting.setattr(builder, "CalledMove", called)
        fast = elaborate(parse_program(source), read, input)
    with monkeypatch.context() as slow:
        slow.setattr(copies.Stretch, "is_clean", False)
        whole = elaborate(parse_program(source), read, input)
    assert [n.name for n in fast] == [n.name for n in whole]
    for one, other in zip(fast, whole, strict=True):
        assert contents(one) == contents(other)
        assert repr(one.chain) == repr(other.chain)
        assert names_of(one, for_names=True) == names_of(other, for_names=False)
    return sum(made)


def test_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        compare(Source(path.read_text("utf-8"), path.as_posix()), None, monkeypatch)
        for path in SPECS
    ]
    assert sum(count > 0 for count in made) > 20


def test_random_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [compare(Source(str(generate(seed)[0])), None, monkeypatch) for seed in range(60)]
    assert sum(count > 0 for count in made) > 20


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("conv 3x3 16 same ×5", 3),
        ("{ conv 3x3 16 same; relu } ×5", 3),
        ("maxpool 2 ×4", 0),  # each on another volume
        ("conv 3x3 8 same ×5", 3),  # the second is the first of its volume
        ("s: conv 3x3 16 same ×5", 3),
        ("x: conv 1x1; { conv 3x3 16 same; add { id | x } } ×5", 3),
        ("x: conv 1x1; { conv 3x3 16 same; x } ×5", 0),  # each reads x
        ("{ conv 3x3 (C) same; add { id | conv 1x1 (2*C/2) } } ×4", 2),
        ("{ conv 3x3 16 same ×4 } ×5", 7),
        ("{ let n = C; conv 3x3 n same; if n > 8 { relu } } ×4", 2),
        ("for i in 0..3 { conv 3x3 (8*i + 8) same; conv 1x1 16 ×4 }", 6),
        ("{ for i in 0..3 { conv 3x3 (8*i + 8) same }; conv 1x1 16 } ×4", 2),
        ("{ id } ×4; conv 1x1 8", 0),
        ("f: conv 3x3 16 same; reuse f ×5", 3),
        ("f: { conv 3x3 16 same; relu } ×5; reuse f", 3),
        ("g: { f: conv 3x3 16 same; relu; reuse f } ×5", 3),
        ("{ conv 3x3 16 same; aux(0.1) { gap; fc 2 } } ×4", 0),  # heads are told apart
    ],
)
def test_copies_of_statements(text: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compare(Source(text), IMAGE, monkeypatch) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("b(8); b(8); b(8)", 1),  # the second is the first on 8 channels
        ("b(8); conv 1x1 16; b(8)", 1),
        ("k(1); conv 1x1 16; k(1.0)", 0),
        ("x: b(16); y: b(16); add { x | b(16) | y }", 2),
        ("a: { b(16) }; c: { b(16) }; relu", 1),
        ("b(16) ×5", 4),
        ("s(16); s(16)", 3),
        ("loop(3); conv 1x1 16; loop(3)", 1),
        ("w(relu); w(leakyrelu); w(relu)", 1),
        ("w(leakyrelu(1)); w(leakyrelu(1.0))", 1),
        ("v(b); v(b)", 1),
        ("x: conv 1x1; p(x); p(x)", 0),
        ("tag(2); tag(2)", 1),
    ],
)
def test_copies_of_calls(text: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = """
        block b(n) { conv 3x3 n same; if C > 8 { relu } }
        block s(n) { add { b(n) | b(n) }; b(n) }
        block k(n) { leakyrelu (n) }
        block loop(k) { for i in 0..k { conv 3x3 (4*i + 4) same } }
        block w(act: layer) { conv 3x3 16 same; act }
        block v(f: block) { f(16) }
        block p(skip: part) { conv 3x3 16 same; add { id | skip } }
        block tag(k) { for i in 0..k { "c{i + C}": conv 3x3 16 same } }
    """
    source = Source(f"{blocks}\nnetwork N: 28x28x16 → 28x28x16 {{ {text}; conv 1x1 16 }}")
    assert compare(source, None, monkeypatch) == count


@pytest.mark.parametrize(
    "text",
    [
        "block b(n) { conv 3x3 n same; relu }\nnetwork N: 8x8x4 → 8x8x4 { b(4) ×50000 }",
        "network N: 8x8x4 → 8x8x4 { { { relu ×10 } ×100 } ×100 }",
    ],
)
def test_what_is_bounded_is_what_is_distinct(text: str) -> None:
    (model,) = read_models(Source(text))
    assert len(model.layers) == 100_000


def test_copies_that_are_made_when_they_are_asked_for() -> None:
    text = "{ conv 3x3 4 same; { relu; id } ×5 } ×6"
    (network,) = elaborate(parse_program(Source(text)), read, Volume((8, 8, 4)))
    (outer,) = network.chain.written
    assert isinstance(outer, RepeatPart)
    assert isinstance(outer.copies, LazyCopies)
    assert len(outer.copies) == len(list(outer.copies)) == 6
    assert outer.copies[-1] == outer.copies[5] == list(outer.copies)[5]
    assert outer.copies[1:3] == (outer.copies[1], outer.copies[2])
    assert outer.copies == tuple(outer.copies)
    assert hash(outer.copies) == hash(tuple(outer.copies))
    assert outer.copies != tuple(outer.copies)[1:]
    inner = outer.copies[4].written[1]
    assert isinstance(inner, RepeatPart)
    assert isinstance(inner.copies, LazyCopies)
    # Behind the input 6 layers a copy, as `id` is none.
    assert [(copy.input, copy.output) for copy in inner.copies] == [
        (25 + i, 26 + i) for i in range(5)
    ]
    with pytest.raises(IndexError):
        outer.copies[6]


@pytest.mark.parametrize("text", ["{ relu; conv 1x1 ×9 } ×20001", "{ { relu ×1000 } ×1000 } ×1000"])
def test_layers_are_bounded(text: str) -> None:
    (found,) = diagnose(Source(text), IMAGE)
    assert found.code == "too-many-layers"
    assert found.message == f"the network has more than {MAX_LAYERS:,} layers"
