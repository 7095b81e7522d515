"""Rules of whole networks: the graph they run on, contradictions, dead layers, depth."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest
from conftest import ROOT, sample

import archdsl
from archdsl.deployment import deploy
from archdsl.elaborate.placing import Placer
from archdsl.frontend import diagnose, read_models, read_partly
from archdsl.layers import Input
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.model.consistency import count_depth, find_contradictions, find_dead
from archdsl.network.graph import Node, build_graph, sources_in
from archdsl.text.diagnostics import ArchError
from archdsl.text.source import Source

SPECS = sorted((ROOT / "specs").rglob("*.arch"))
IMAGE = Volume((28, 28, 16))


def sources_of(graph: nx.MultiDiGraph[int]) -> dict[int, tuple[int, ...]]:
    return {id: sources_in(graph, id) for id in graph}


def read(text: str) -> Model:
    (model,) = read_models(Source(text), IMAGE)
    return model


# ── The graph ────────────────────────────────────────────────────────────────────────────────


def test_the_graph_is_networkx_and_cannot_be_changed() -> None:
    graph = read("a: conv 3x3 16 same; add { relu | a }").graph
    assert isinstance(graph, nx.MultiDiGraph)
    with pytest.raises(nx.NetworkXError):
        graph.add_edge(0, 3)


def test_one_result_can_feed_a_merge_twice() -> None:
    graph = read("add { id | id }").graph
    assert sorted(graph.edges(keys=True)) == [(0, 1, 0), (0, 1, 1)]
    assert sources_of(graph) == {0: (), 1: (0, 0)}


def test_edges_hold_the_order_of_inputs() -> None:
    graph = read("a: conv 1x1 8; b: conv 1x1 8; concat { b | a | b }").graph
    assert sources_of(graph)[3] == (2, 1, 2)
    assert graph[1][3] == {1: {}}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_graph_of_every_spec(path: Path) -> None:
    for model in sample(path):
        for graph, nodes in (
            (model.graph, model.nodes),
            (deploy(model).model.graph, deploy(model).model.nodes),
        ):
            assert tuple(node for _, node in graph.nodes(data="node")) == nodes
            assert sources_of(graph) == {node.id: node.inputs for node in nodes}
            assert list(nx.lexicographical_topological_sort(graph)) == list(range(len(nodes)))
            inputs = {node.id for node in model.inputs}
            behind = set().union(*(nx.descendants(graph, id) for id in inputs))
            assert behind == set(graph) - inputs


def test_a_network_up_to_its_fault_has_a_graph() -> None:
    (model,), _ = read_partly(Source("conv 3x3 8; conv 40; relu"), IMAGE)
    assert len(model.graph) == len(model.nodes)


@pytest.mark.parametrize(
    "line",
    ["conv 3x3 16 same ×{}", "add {{ conv 3x3 16 same | id }} ×{}", "g: {{ basic(16) ×{} }}"],
)
def test_time_grows_with_repeats(line: str) -> None:
    """Four times the copies take at most seven times as long, the rules included."""

    def seconds(count: int) -> float:
        source, tries = Source(line.format(count)), []
        for _ in range(3):  # the least is the one that nothing else disturbed
            start = time.process_time()
            assert diagnose(source, IMAGE) == ()
            tries.append(time.process_time() - start)
        return min(tries)

    seconds(10)
    assert seconds(1_000) < 7 * seconds(250)


# ── Contradictions ───────────────────────────────────────────────────────────────────────────

TEXT = "a: conv 3x3 8 same\nb: conv 5x5 8 same\nconcat { a | b } relu\nconv 1x1 4"


def contradictions(model: Model, *changes: Node) -> list[tuple[int, str]]:
    """What is found where nodes are others: the line, and what is said."""
    nodes = {node.id: node for node in model.nodes} | {node.id: node for node in changes}
    found = find_contradictions(build_graph(nodes.values()), model.names)
    return [(d.span.line, d.message) for d in found if d.span and d.code == "internal-error"]


def test_no_spec_contradicts_itself() -> None:
    for path in SPECS:
        for model in sample(path):
            assert list(find_contradictions(model.graph, model.names)) == []


@pytest.mark.parametrize(
    ("id", "volume", "message"),
    [
        (1, (28, 28, 9), "is 28x28x9, but its layer makes 28x28x8 from 28x28x16"),
        (3, (28, 28, 8), "is 28x28x8, but its layer makes 28x28x16 from 28x28x8 and 28x28x8"),
        (5, (27, 28, 4), "is 27x28x4, but its layer makes 28x28x4 from 28x28x16"),
    ],
)
def test_a_volume_that_no_layer_makes(id: int, volume: tuple[int, ...], message: str) -> None:
    """What depends on it says nothing."""
    model = read(TEXT)
    node = model.nodes[id]
    found = contradictions(model, replace(node, volume=Volume(volume)))
    assert found == [(node.span.line, f"`{model.names[id]}` {message}")]


def test_a_volume_that_cannot_be_made() -> None:
    model = read(TEXT)
    changed = replace(model.nodes[2], layer=replace(model.nodes[2].layer, groups=3))
    ((line, said),) = contradictions(model, changed)
    assert line == 2
    assert "is 28x28x8, but cannot be made (8 input channels" in said


@pytest.mark.parametrize(
    ("inputs", "message"), [((), "reads nothing"), ((4,), "comes before what it reads")]
)
def test_ids_are_a_topological_order(inputs: tuple[int, ...], message: str) -> None:
    model = read(TEXT)
    ((line, said),) = contradictions(model, replace(model.nodes[2], inputs=inputs))
    assert (line, said.partition("` ")[2]) == (2, message)


def test_edges_are_the_inputs_of_the_nodes() -> None:
    model = read(TEXT)
    merge = model.nodes[3]
    swapped = build_graph([*model.nodes[:3], replace(merge, inputs=(2, 1)), *model.nodes[4:]])
    other = nx.MultiDiGraph(swapped)
    other.nodes[3]["node"] = merge
    (found,) = find_contradictions(other, model.names)
    assert "reads the nodes (2, 1) in the graph, but its inputs are (1, 2)" in found.message


def test_a_module_that_is_not_that_of_another_layer() -> None:
    model = read("f: conv 3x3 16 same; conv 1x1 16; relu; reuse f; fc 3")
    again = next(node for node in model.layers if node.shares is not None)
    for wrong, message in (
        (replace(again, shares=2), "`f` shares the module of another layer"),
        (replace(again, shares=5), "`f` shares the module of no earlier layer"),
        (replace(again, shares=99), "`f` shares the module of no earlier layer"),
        (
            replace(again, layer=replace(again.layer, out_channels=8), volume=Volume((28, 28, 8))),
            "`f` shares the module of another layer",
        ),
    ):
        assert contradictions(model, wrong) == [(again.span.line, message)]


def test_depth_and_dead_layers_of_several_outputs() -> None:
    (model,) = read_models(
        Source(
            """network N: (x: 8x8x4, y: 8x8x4) → (a: 8x8x4, b: 3) {
              a: conv 1x1 4; conv 3x3 8 same ×3
              y; b: fc 3
            }"""
        )
    )
    assert model.depth == 1
    assert sorted(model.names[id] for id in find_dead(model.graph, set(model.ends))) == [
        "layers.0",
        "layers.1",
        "layers.2",
    ]


def test_an_elaboration_that_is_wrong_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its volumes are not taken over: the second inference starts at the input alone."""
    place = Placer._add_node

    def wrong(self, layer, inputs, volume, span, scope, forms=None):  # type: ignore[no-untyped-def]
        if not isinstance(layer, Input):
            volume = volume.with_channels(volume.channels + 1)
        return place(self, layer, inputs, volume, span, scope, forms)

    monkeypatch.setattr(Placer, "_add_node", wrong)
    with pytest.raises(ArchError) as caught:
        archdsl.parse("network N: 8x8x3 → 8x8x5 {\n  first: conv 3x3 4 same\n}")
    (found,) = caught.value.diagnostics
    assert (found.code, found.span and found.span.line) == ("internal-error", 2)
    assert found.message == "`first` is 8x8x5, but its layer makes 8x8x4 from 8x8x3"
    assert "report" in (found.help or "")


# ── Dead layers ──────────────────────────────────────────────────────────────────────────────

CELL = "block cell(n) { a: conv 3x3 n same\n conv 5x5 n\n a; relu }\n"

#: What is computed for nothing: by line, the text that is named.
DEAD = {
    "a layer": ("a: conv 3x3 8\nconv 5x5 2; a; conv 1x1 3", [(2, "conv 5x5 2")]),
    "layers that only such layers read": (
        "a: conv 3x3 8\nconv 5x5 2 relu; maxpool 2\na; conv 1x1 3",
        [(2, "conv 5x5 2 relu; maxpool 2")],
    ),
    "a line each": ("a: relu\nconv 5x5 2\ntanh\na; gap", [(2, "conv 5x5 2"), (3, "tanh")]),
    "between two places": (
        "a: relu; conv 5x5 2; a; conv 7x7 2; a; gap",
        [(1, "conv 5x5 2"), (1, "conv 7x7 2")],
    ),
    "a named layer": ("a: relu; b: conv 5x5 2\na; gap", [(1, "conv 5x5 2")]),
    "a named group": ("a: relu\nb: { conv 1x1 2\n relu }\na; gap", [(2, "b")]),
    "a named repeat": ("a: relu\nb: { conv 1x1 2; relu } ×3\na; gap", [(2, "b")]),
    "a repeat": ("a: relu\n{ conv 1x1 2; relu } ×3; a; gap", [(2, "conv 1x1 2; relu")]),
    "a call": ("a: relu\nbasic(16); a; gap", [(2, "basic(16)")]),
    "a named call": ("a: relu\nb: basic(16); a; gap", [(2, "basic(16)")]),
    "calls": ("a: relu\nbasic(16) ×2\nbasic(8); a; gap", [(2, "basic(16)"), (3, "basic(8)")]),
    "a merge": (
        "a: relu\nadd { conv 1x1 16 | id }; a; gap",
        [(2, "add")],
    ),
    "in a branch": (
        "add { a: tanh\n conv 5x5 2; a; relu | id }",
        [(2, "conv 5x5 2")],
    ),
    "in a named group": ("g: { a: relu\n conv 5x5 2; a; tanh }; gap", [(2, "conv 5x5 2")]),
    "in a repeat": ("g: { a: relu\n conv 5x5 2; a; tanh } ×3; gap", [(2, "conv 5x5 2")]),
    "in a block": (f"{CELL}cell(8); cell(4)", [(2, "conv 5x5 n")]),
    "a block in a dead group": (
        f"{CELL}a: relu\nb: {{ cell(8)\n cell(4) }}\na; gap",
        [(5, "b")],
    ),
    "in a head": (
        "network N: 8x8x3 → 10 {\n aux(0.3) { a: relu\n conv 1x1 2; a; fc 10 }\n fc 10 }",
        [(3, "conv 1x1 2")],
    ),
    "a head is an end": ("network N: 8x8x3 → 10 {\n aux(0.3) { relu; fc 10 }\n fc 10 }", []),
    "before a head": (
        "network N: 8x8x3 → 10 {\n a: relu\n conv 1x1 2; aux(1) { fc 10 }; tanh; a\n fc 10 }",
        [(3, "tanh")],
    ),
    "the end is read, too": ("a: relu; b: tanh; a", [(1, "tanh")]),
    "read from inside alone": ("a: relu; b: conv 1x1 16; a; add { b | id }", []),
    "a group referred to again": ("g: { a: relu; tanh }; add { g | id }", []),
}


@pytest.mark.parametrize("case", DEAD)
def test_what_is_computed_for_nothing(case: str) -> None:
    text, expected = DEAD[case]
    found = diagnose(Source(text), None if "network" in text else IMAGE)
    assert {d.code for d in found} <= {"dead-layer", "unused-name"}
    dead = [d for d in found if d.code == "dead-layer"]
    said = [(d.span.line, d.message.split("`")[1]) for d in dead if d.span]
    assert said == expected


def test_a_block_that_is_dead_in_one_call_is_said_there() -> None:
    found = diagnose(Source(f"{CELL}cell(8)"), IMAGE)
    assert [d.context for d in found] == [("in cell(8), called at line 4",)]


def test_a_block_of_another_file_is_said_at_its_call(tmp_path: Path) -> None:
    (tmp_path / "cell.arch").write_text(CELL, "utf-8")
    path = tmp_path / "n.arch"
    path.write_text('use "cell.arch"\nnetwork N: 8x8x3 → 8x8x4 {\n  cell(4)\n}\n', "utf-8")
    (warning,) = archdsl.lint(path)
    assert [warning.span and warning.span.text] == ["cell(4)"]
    assert [label.span.text for label in warning.related] == ["conv 5x5 n"]


def test_dead_nodes_of_random_graphs() -> None:
    """By their definition: no path to an end."""
    for seed in range(60):
        graph = nx.gn_graph(30, seed=seed).reverse()
        ends = {seed % 30, 29}
        dead = {n for n in graph if not any(nx.has_path(graph, n, end) for end in ends)}
        assert find_dead(nx.MultiDiGraph(graph), ends) == dead


# ── Depth ────────────────────────────────────────────────────────────────────────────────────

DEPTHS = {
    "relu": 0,
    "conv 3x3 8 bn relu; dwconv 3; fc 10": 3,
    "conv 3x3 8 ×5": 5,
    "add { conv 3x3 same relu conv 3x3 same | conv 1x1 | id }": 2,
    # The longer branch within the longer branch.
    "concat { conv 1 4; concat { conv 1 4; conv 1 4 | id }; conv 1 2 | conv 1 4 ×2 | id }": 4,
    "concat { concat { conv 1 4 | id } | conv 1 2 }; conv 1 2": 2,
    # A factor for channels is a path, too.
    "mul { id | gap conv 1x1 4 relu conv 1x1 16 sigmoid }; conv 1x1 4": 3,
    # What is referred to again does not count twice.
    "a: conv 3 16 same; conv 3 16 same; add { a | id }; conv 1 4": 3,
    "a: conv 3x3 16 same; add { a | conv 3 16 same }; add { a | conv 3 16 same }": 3,
    "basic(16) ×2": 4,
    "s: { basic(16) ×2 } ×2; fc 10": 9,
    # Layers for nothing are on no path to the output.
    "a: conv 3x3 8; conv 1 2 ×9; a; conv 1x1 3": 2,
}


@pytest.mark.parametrize("text", DEPTHS)
def test_depth(text: str) -> None:
    assert read(text).depth == DEPTHS[text]


def test_heads_are_not_on_the_way_to_the_output() -> None:
    text = "network N: 8x8x3 → 10 {{ conv 1 4 {} fc 10; expect depth = 2 }}"
    for heads in ("", "; aux(1) { conv 1 4 ×5; fc 10 };", "; aux(1) { fc 5; fc 10 }; relu;"):
        model = archdsl.parse(text.format(heads or ";"))
        assert (model.depth, model.claims[0].actual) == (2, 2)


def test_a_claim_of_depth_that_fails() -> None:
    text = "network N: 8x8x3 → 10 { conv 1 4; fc 10; expect depth = 3 }"
    (found,) = diagnose(Source(text))
    assert found.code == "failed-claim"
    assert [fix.message for fix in found.fixes] == ["write `2` if the claim is wrong"]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_depth_against_networkx(path: Path) -> None:
    """Its longest path, where each edge into a layer with weights counts one."""
    for model in sample(path):
        graph = nx.DiGraph()
        for node in model.nodes:
            weight = int(node.layer.has_weights)
            graph.add_weighted_edges_from((source, node.id, weight) for source in node.inputs)
        for end in (model.chain.output, *(n.id for n in model.layers if n.layer.name == "concat")):
            way = graph.subgraph(nx.ancestors(graph, end) | {end})
            expected = nx.dag_longest_path_length(way, default_weight=0)
            assert count_depth(model.graph, end) == expected
