"""The specs against the papers: totals, layer tables, receptive fields, worked examples.

The tables in ``reference/`` follow from the papers, prototxt files and lectures that each of them
names. None of their numbers was computed by this package.
"""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import archdsl
from archdsl.frontend import read_models
from archdsl.layers.regularization import Dropout
from archdsl.model import Model
from archdsl.network.graph import Node
from archdsl.network.parts import AuxPart, walk
from archdsl.text.source import Source

SPECS = ROOT / "specs"
REFERENCE = Path(__file__).parent / "reference"

SPEC_FILES = sorted(path.name for path in SPECS.glob("*.arch"))
TABLES = {
    table["network"]: table
    for path in sorted(REFERENCE.glob("*.json"))
    if "rows" in (table := json.loads(path.read_text("utf-8")))
}
WORKED = json.loads((REFERENCE / "worked.json").read_text("utf-8"))["networks"]
DEPTHS = json.loads((REFERENCE / "depths.json").read_text("utf-8"))["networks"]
FIELDS = json.loads((REFERENCE / "receptive_fields.json").read_text("utf-8"))["networks"]

#: The rows of a published table: what has weights, moves a window or normalizes.
KINDS = {
    "conv": "conv",
    "fc": "fc",
    "maxpool": "maxpool",
    "avgpool": "avgpool",
    "gap": "avgpool",
    "lrn": "norm",
}
#: Its C3 is sixteen convolutions and its pools train: compared part by part instead.
BY_PART = "LeNet5_1998"


@cache
def models_of(spec: str) -> dict[str, Model]:
    return {model.name: model for model in archdsl.load_all(SPECS / spec)}


def model_of(entry: dict[str, Any]) -> Model:
    return models_of(entry["spec"])[entry["network"]]


def rows_of(model: Model) -> list[Node]:
    return [node for node in model.layers if node.layer.name in KINDS]


def lines_of_code(spec: str) -> int:
    lines = (SPECS / spec).read_text("utf-8").splitlines()
    return sum(bool(line.partition("#")[0].strip()) for line in lines)


# ── Totals ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", TABLES)
def test_totals(name: str) -> None:
    model = model_of(TABLES[name])
    actual = {
        "params": model.trunk.parameters,
        "macs": model.trunk.macs,
        "weight_layers": model.trunk.weight_layers,
        "depth": model.depth,
        "aux_params": model.heads.parameters,
        "aux_macs": model.heads.macs,
    }
    totals = {"aux_params": 0, "aux_macs": 0} | TABLES[name]["totals"]
    assert {key: actual[key] for key in totals} == totals


@pytest.mark.parametrize("entry", DEPTHS, ids=lambda entry: f"{entry['spec']}-{entry['network']}")
def test_published_depths(entry: dict[str, Any]) -> None:
    model = model_of(entry)
    assert model.depth == entry["depth"]
    assert f"depth = {entry['depth']}" in {claim.text for claim in model.claims}


def test_every_network_claims_its_depth() -> None:
    models = [model for spec in SPEC_FILES for model in models_of(spec).values()]
    silent = [m.name for m in models if not any(c.text.startswith("depth =") for c in m.claims)]
    assert silent == []


def test_the_tables_add_up() -> None:
    for table in TABLES.values():
        totals = table["totals"]
        for key in ("params", "macs"):
            total = totals[key] + totals.get(f"aux_{key}", 0)
            assert sum(row[key] for row in table["rows"]) == total, table["network"]


# ── Layer by layer ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [name for name in TABLES if name != BY_PART])
def test_rows(name: str) -> None:
    table = TABLES[name]
    model = model_of(table)
    assert list(model.input.sizes) == table["input"]
    # Zipped without `strict`, so that the first row that differs is what a failure shows.
    for node, row in zip(rows_of(model), table["rows"], strict=False):
        cost, field = model.costs[node.id], model.receptive_fields[node.id]
        actual = {
            "name": row["name"],
            "kind": KINDS[node.layer.name],
            "volume": list(node.volume.sizes),
            "params": cost.parameters,
            "macs": cost.macs,
            "receptive_field": field[0],
        }
        assert field[0] == field[1]
        assert {key: actual[key] for key in row} == row
    assert len(rows_of(model)) == len(table["rows"])


@pytest.mark.parametrize("name", [name for name in TABLES if "sequence" in TABLES[name]])
def test_sequence(name: str) -> None:
    """All layers in the order of the source, ReLUs, dropouts and joins included."""
    model = model_of(TABLES[name])
    words = {"gap": "avgpool"}
    actual = [
        f"dropout {node.layer.p}"
        if isinstance(node.layer, Dropout)
        else words.get(node.layer.name, node.layer.name)
        for node in model.layers
        if node.layer.name != "flatten"
    ]
    assert actual == ", ".join(TABLES[name]["sequence"]).split(", ")


def test_lenet5_1998_part_by_part() -> None:
    """Parameters as in the paper, part by part: C1 156, S2 12, C3 1516, S4 32, C5 48120, F6 10164.

    The paper counts the subsampling coefficient and the RBF distances as connections too; MACs here
    are those of convolutions and fully-connected products, and the network ends in F6.
    """
    table = TABLES[BY_PART]
    model = model_of(table)
    parts = []
    for part, nodes in groupby(model.layers, lambda node: model.names[node.id].partition(".")[0]):
        inside = list(nodes)
        parts.append(
            {
                "name": part,
                "volume": list(inside[-1].volume.sizes),
                "params": sum(model.costs[node.id].parameters for node in inside),
                "macs": sum(model.costs[node.id].macs for node in inside),
            }
        )
    assert parts == [{key: row[key] for key in parts[0]} for row in table["rows"]]


#: LeCun et al. 1998, table I as it is printed: a row for each map of S2, a column for each of C3.
TABLE_I = """
    X . . . X X X . . X X X X . X X
    X X . . . X X X . . X X X X . X
    X X X . . . X X X . . X . X X X
    . X X X . . X X X X . . X . X X
    . . X X X . . X X X X . X X . X
    . . . X X X . . X X X X . X X X
"""


def test_lenet5_1998_connects_c3_as_table_1_does() -> None:
    model = models_of("lenet5_1998.arch")["LeNet5_1998"]
    sources = [
        tuple(getattr(model.nodes[node.inputs[0]].layer, "channels", range(6)))
        for node in model.layers
        if model.names[node.id].startswith("C3") and node.layer.name == "conv"
    ]
    columns = zip(*(row.split() for row in TABLE_I.strip().splitlines()), strict=True)
    assert sources == [tuple(i for i in range(6) if column[i] == "X") for column in columns]


def test_googlenet_weighs_its_heads_with_three_tenths() -> None:
    model = models_of("googlenet.arch")["GoogLeNet"]
    heads = [part for part in walk(model.chain) if isinstance(part, AuxPart)]
    assert [(head.name, head.weight) for head in heads] == [("aux1", 0.3), ("aux2", 0.3)]


@pytest.mark.parametrize("name", FIELDS)
def test_published_receptive_fields(name: str) -> None:
    model = model_of(TABLES[name])
    rows = zip(rows_of(model), TABLES[name]["rows"], strict=True)
    fields = {row["name"]: model.receptive_fields[node.id] for node, row in rows}
    assert {key: fields[key] for key in FIELDS[name]} == {
        key: (field, field) for key, field in FIELDS[name].items()
    }


# ── Worked examples ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("example", WORKED, ids=lambda example: example["network"])
def test_worked_example(example: dict[str, Any]) -> None:
    model = model_of(example)
    assert list(model.input.sizes) == example["input"]
    assert list(model.output.sizes) == example["output"]
    assert model.depth == example["depth"]
    convs = [node for node in model.layers if node.layer.name == "conv"]
    biases = [node.volume.channels for node in convs]
    costs = [model.costs[node.id] for node in convs]
    assert [cost.macs for cost in costs] == example["multiplies"]
    weights = [cost.parameters - bias for cost, bias in zip(costs, biases, strict=True)]
    assert weights == example["weights"]
    assert model.trunk.macs == sum(example["multiplies"])
    assert model.trunk.parameters == sum(example["weights"]) + sum(biases)


def test_the_bottleneck_costs_a_tenth() -> None:
    direct = models_of("inception_naive.arch")["Direct5x5"].trunk.macs
    reduced = models_of("inception_reduced.arch")["Bottleneck5x5"].trunk.macs
    assert direct / reduced == pytest.approx(9.677, abs=0.001)


def test_bare_statements() -> None:
    text = "conv 3x3 s1 same ×2; maxpool 2 s2; inception(64,96→128,16→32,32)"
    model = archdsl.parse(text, input="28x28x192")
    volumes = [str(node.volume) for node in model.layers if node.layer.name != "relu"]
    assert volumes[:3] == ["28x28x192", "28x28x192", "14x14x192"]
    assert str(model.output) == "14x14x256"
    # Two 3x3 convolutions that keep 192 channels, then the module 3a.
    assert model.trunk.parameters == 2 * (9 * 192 * 192 + 192) + 163_696


# ── The specs as texts ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("spec", SPEC_FILES)
def test_every_claim_holds(spec: str) -> None:
    for model in models_of(spec).values():
        assert model.claims, f"{model.name} claims nothing"
        assert all(claim.holds for claim in model.claims)


@pytest.mark.parametrize("spec", SPEC_FILES)
def test_a_wrong_claim_fails(spec: str) -> None:
    """Each exact claim, off by one, is an error: the claims are not decoration."""
    lines = (SPECS / spec).read_text("utf-8").splitlines()
    exact = [i for i, line in enumerate(lines) if line.strip().startswith("expect params =")]
    for index in exact:
        claim, _, rest = lines[index].partition("#")[0].partition(";")
        head, _, number = claim.partition("=")
        wrong = [*lines[:index], f"{head}= {int(number) + 1};{rest}", *lines[index + 1 :]]
        source = Source("\n".join(wrong), str(SPECS / spec))
        failed = [d for model in read_models(source) for d in model.diagnostics]
        assert [(d.code, d.span.line if d.span else 0) for d in failed] == [
            ("failed-claim", index + 1)
        ]
    assert exact


@pytest.mark.parametrize("spec", SPEC_FILES)
def test_every_spec_names_its_source(spec: str) -> None:
    text = (SPECS / spec).read_text("utf-8")
    head = "".join(re.match(r"(?:#.*\n)+", text).group().split("#"))  # type: ignore[union-attr]
    authors = r"LeCun|Krizhevsky|Zeiler|Simonyan|Lin, Chen|Szegedy"
    assert re.search(rf"(?s)({authors}).*?\b(1998|201[2-5])\b", head)


def test_every_spec_is_judged() -> None:
    judged = {table["spec"] for table in TABLES.values()} | {entry["spec"] for entry in WORKED}
    assert judged == set(SPEC_FILES)


def test_the_specs_are_short() -> None:
    assert lines_of_code("vgg16.arch") <= 15
    assert lines_of_code("googlenet.arch") <= 35


def test_networks_end_in_logits() -> None:
    """The softmax lives in the loss: no network ends in one, and none has an activation last."""
    for name in set(TABLES) - {BY_PART, "NiN", "NiN_CIFAR10"}:
        model = model_of(TABLES[name])
        assert model.nodes[model.chain.output].layer.name == "fc", name
    assert all(
        node.layer.name != "softmax"
        for spec in SPEC_FILES
        for model in models_of(spec).values()
        for node in model.layers
    )


# ── Names ────────────────────────────────────────────────────────────────────────────────────


def names_of_weights(model: Model) -> list[str]:
    return [model.names[node.id] for node in model.layers if node.layer.has_weights]


def test_vgg_has_the_names_of_torchvision() -> None:
    features = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    expected = [f"features.{i}" for i in features] + [f"classifier.{i}" for i in (0, 3, 6)]
    assert names_of_weights(models_of("vgg16.arch")["VGG16"]) == expected


def test_alexnet_has_the_names_of_its_layers() -> None:
    names = names_of_weights(models_of("alexnet.arch")["AlexNet"])
    stems = [name.partition(".")[0] for name in names]
    assert stems == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
