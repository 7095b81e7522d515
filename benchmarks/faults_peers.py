"""What Keras, ONNX, NNEF, mlnode, narchi and n-orca say of faults that they can express.

    pip install keras torch onnx nnef mlnode narchi n-orca
    python benchmarks/faults_peers.py

Prints the table of docs/faults.md, with the versions. Each tool gets one small network with one
fault; the layer that is at fault, or missing, is named `culprit`. A message names the place if
that name stands in it, or a line and column, or the layer's number; the last figure is its length
in characters. "Accepted" is a network that is built, checked and its shapes inferred without a
complaint. What a tool has no way to write is a dash.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
warnings.simplefilter("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

FAULTS = (
    "a kernel larger than its input",
    "groups that do not divide the channels",
    "`add` of unequal channels",
    "`concat` of unequal heights",
    "a convolution after `flatten`",
    "a layer misspelt",
    "an attribute misspelt",
    "a part that does not exist",
    "a part named twice",
    "a stride of 0",
    "an output other than declared",
)
#: The same networks right: a tool that refuses them has been asked in a wrong way.
RIGHT = ("(a convolution, right)", "(`add`, right)", "(`concat`, right)")


# ── archdsl ──────────────────────────────────────────────────────────────────────────────────

ARCH = dict(
    zip(
        (*FAULTS, *RIGHT),
        (
            "culprit: conv 11x11 8",
            "culprit: conv 3x3 8 g2",
            "culprit: add { conv 1x1 8 | id }",
            "culprit: concat { conv 3x3 8 | id }",
            "flatten; culprit: conv 3x3 8",
            "culprit: cnov 3x3 8",
            "culprit: conv 3x3 8 strde=2",
            "concat { crop culprit | id }",
            "culprit: relu; culprit: relu",
            "culprit: conv 3x3 8 s0",
            "culprit: conv 3x3 8 → 8x8x8",
            "culprit: conv 3x3 8",
            "culprit: add { conv 1x1 3 | id }",
            "culprit: concat { conv 1x1 8 | id }",
        ),
        strict=True,
    )
)


def archdsl(fault: str) -> str | None:
    from archdsl.frontend import diagnose
    from archdsl.layers.volume import Volume
    from archdsl.report.diagnostics import render_diagnostics
    from archdsl.text.source import Source

    found = diagnose(Source(ARCH[fault], "culprit.arch"), Volume((8, 8, 3)))
    return render_diagnostics(found) if found else None


# ── Keras ────────────────────────────────────────────────────────────────────────────────────


def keras(fault: str) -> str | None:
    import keras as k

    x = k.Input((8, 8, 3))
    layers = k.layers
    conv: dict[str, Callable[[], Any]] = {
        FAULTS[0]: lambda: layers.Conv2D(8, 11, name="culprit")(x),
        FAULTS[1]: lambda: layers.Conv2D(8, 3, groups=2, name="culprit")(x),
        FAULTS[2]: lambda: layers.Add(name="culprit")([layers.Conv2D(8, 1)(x), x]),
        FAULTS[3]: lambda: layers.Concatenate(name="culprit")([layers.Conv2D(8, 3)(x), x]),
        FAULTS[4]: lambda: layers.Conv2D(8, 3, name="culprit")(layers.Flatten()(x)),
        FAULTS[5]: lambda: layers.Cnov2D(8, 3, name="culprit")(x),
        FAULTS[6]: lambda: layers.Conv2D(8, 3, strdes=2, name="culprit")(x),
        FAULTS[8]: lambda: layers.ReLU(name="culprit")(layers.ReLU(name="culprit")(x)),
        FAULTS[9]: lambda: layers.Conv2D(8, 3, strides=0, name="culprit")(x),
        RIGHT[0]: lambda: layers.Conv2D(8, 3, name="culprit")(x),
        RIGHT[1]: lambda: layers.Add(name="culprit")([layers.Conv2D(3, 1)(x), x]),
        RIGHT[2]: lambda: layers.Concatenate(name="culprit")([layers.Conv2D(8, 1)(x), x]),
    }
    if fault not in conv:
        raise NotImplementedError
    return _complaint(lambda: k.Model(x, conv[fault]()))


# ── ONNX ─────────────────────────────────────────────────────────────────────────────────────


def onnx(fault: str) -> str | None:
    from onnx import TensorProto, checker, helper

    def node(kind: str, inputs: list[str], **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, ["culprit"], name="culprit", **attributes)

    small = helper.make_node("Conv", ["x", "w1"], ["a"], name="first")
    valid = helper.make_node("Conv", ["x", "w3"], ["a"], name="first")
    flat = helper.make_node("Flatten", ["x"], ["a"], name="first")
    relu = helper.make_node("Relu", ["x"], ["culprit"], name="first")
    graphs: dict[str, list[Any]] = {
        FAULTS[0]: [node("Conv", ["x", "w11"])],
        FAULTS[1]: [node("Conv", ["x", "w3"], group=2)],
        FAULTS[2]: [small, node("Add", ["a", "x"])],
        FAULTS[3]: [valid, node("Concat", ["a", "x"], axis=1)],
        FAULTS[4]: [flat, node("Conv", ["a", "w3"])],
        FAULTS[5]: [node("Cnov", ["x", "w3"])],
        FAULTS[6]: [node("Conv", ["x", "w3"], strdes=[2, 2])],
        FAULTS[7]: [node("Add", ["x", "nowhere"])],
        FAULTS[8]: [relu, node("Relu", ["x"])],
        FAULTS[9]: [node("Conv", ["x", "w3"], strides=[0, 0])],
        FAULTS[10]: [node("Conv", ["x", "w3"])],
        RIGHT[0]: [node("Conv", ["x", "w3"])],
        RIGHT[1]: [valid, node("Add", ["a", "a"])],
        RIGHT[2]: [small, node("Concat", ["a", "x"], axis=1)],
    }

    def tensor(name: str, shape: list[int] | list[None]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    sizes = {"w1": 1, "w3": 3, "w11": 11}
    inputs = [tensor("x", [1, 3, 8, 8])]
    inputs += [tensor(name, [8, 3, size, size]) for name, size in sizes.items()]
    output = tensor("culprit", [1, 8, 8, 8] if fault == FAULTS[10] else [None] * 4)
    graph = helper.make_graph(graphs[fault], "network", inputs, [output])
    return _complaint(lambda: checker.check_model(helper.make_model(graph), full_check=True))


# ── NNEF ─────────────────────────────────────────────────────────────────────────────────────


def nnef(fault: str) -> str | None:
    import nnef as n

    conv = "culprit = conv(x, w3, border='constant', padding=[(0,0), (0,0)]"
    bodies = {
        FAULTS[0]: "culprit = conv(x, w11, padding=[(0,0), (0,0)]);",
        FAULTS[1]: "culprit = conv(x, w3, groups=2);",
        FAULTS[2]: "a = conv(x, w1); culprit = add(a, x);",
        FAULTS[3]: "a = conv(x, w3, padding=[(0,0), (0,0)]); culprit = concat([a, x], axis=1);",
        FAULTS[4]: "a = reshape(x, shape=[1, 192]); culprit = conv(a, w3);",
        FAULTS[5]: "culprit = cnov(x, w3);",
        FAULTS[6]: "culprit = conv(x, w3, strde=[2,2]);",
        FAULTS[7]: "culprit = add(x, nowhere);",
        FAULTS[8]: "culprit = relu(x); culprit = relu(x);",
        FAULTS[9]: f"{conv}, stride=[0,0]);",
        RIGHT[0]: f"{conv});",
        RIGHT[1]: "a = conv(x, w1); culprit = add(a, a);",
        RIGHT[2]: "a = conv(x, w1); culprit = concat([a, x], axis=1);",
    }
    if fault not in bodies:
        raise NotImplementedError
    weights = "".join(f"w{k} = variable(shape=[8,3,{k},{k}], label='w{k}');\n" for k in (1, 3, 11))
    text = (
        "version 1.0;\ngraph network(x) -> (culprit)\n{\nx = external(shape=[1,3,8,8]);\n"
        f"{weights}{bodies[fault]}\n}}\n"
    )
    return _complaint(lambda: n.infer_shapes(n.parse_string(text)))


# ── mlnode ───────────────────────────────────────────────────────────────────────────────────


def mlnode(fault: str) -> str | None:
    from mlnode import MLnodeModel

    def node(id: str, type: str, **params: Any) -> dict[str, Any]:
        return {"id": id, "type": type, "params": params}

    def conv(id: str, size: int, type: str = "Conv2d", **more: Any) -> dict[str, Any]:
        return node(id, type, in_channels=3, out_channels=8, kernel_size=size, **more)

    relu = node("culprit", "ReLU")
    add = {**relu, "id": "culprit", "reduction": "add"}
    cat = {**relu, "id": "culprit", "reduction": "concat", "reduction_dim": 1}
    chain = [("input", "culprit")]
    joined = [("input", "first"), ("first", "culprit"), ("input", "culprit")]
    graphs = {
        FAULTS[0]: ([conv("culprit", 11)], chain),
        FAULTS[1]: ([conv("culprit", 3, groups=2)], chain),
        FAULTS[2]: ([conv("first", 1), add], joined),
        FAULTS[3]: ([conv("first", 3), cat], joined),
        FAULTS[4]: ([node("first", "Flatten"), conv("culprit", 3)], joined[:2]),
        FAULTS[5]: ([conv("culprit", 3, "Cnov2d")], chain),
        FAULTS[6]: ([conv("culprit", 3, strde=2)], chain),
        FAULTS[7]: ([relu], [*chain, ("nowhere", "culprit")]),
        FAULTS[8]: ([relu, relu], chain),
        FAULTS[9]: ([conv("culprit", 3, stride=0)], chain),
        RIGHT[0]: ([conv("culprit", 3)], chain),
        RIGHT[1]: ([{**conv("first", 1), "id": "first"}, add], [*joined[:2], joined[1]]),
        RIGHT[2]: ([conv("first", 1), cat], joined),
    }
    if fault not in graphs:
        raise NotImplementedError
    nodes, edges = graphs[fault]
    described = {
        "mlnode_schema_version": "1.0",
        "input_shape": ["B", 3, 8, 8],
        "output_node": "culprit",
        "nodes": [node("input", "Input"), *nodes],
        "edges": [{"source": a, "target": b} for a, b in edges],
    }

    def check() -> None:
        model = MLnodeModel.from_dict(described)
        result = model.validate()
        if not result.valid:
            raise ValueError("\n".join(map(str, result.errors)))
        model.build()

    return _complaint(check)


# ── narchi ───────────────────────────────────────────────────────────────────────────────────


def narchi(fault: str) -> str | None:
    from narchi.instantiators.pytorch import StandardModule

    def block(id: str, kind: str, **attributes: Any) -> dict[str, Any]:
        return {"_class": kind, "_id": id, **attributes}

    def conv(id: str, size: int, kind: str = "Conv2d", **more: Any) -> dict[str, Any]:
        return block(id, kind, **{"output_feats": 8, "kernel_size": size, **more})

    add, cat = block("culprit", "Add"), block("culprit", "Concatenate", dim=0)
    flat, relu = block("first", "Reshape", reshape_spec="flatten"), block("culprit", "ReLU")
    alone = ["x -> culprit -> y"]
    joined = ["x -> first -> culprit -> y", "x -> culprit"]
    auto = ["<<auto>>"] * 3
    networks: dict[str, tuple[list[dict[str, Any]], list[str], list[Any]]] = {
        FAULTS[0]: ([conv("culprit", 11)], alone, auto),
        FAULTS[1]: ([conv("culprit", 3, groups=2)], alone, auto),
        FAULTS[2]: ([conv("first", 1), add], joined, auto),
        FAULTS[3]: ([conv("first", 3), cat], joined, auto),
        FAULTS[4]: ([flat, conv("culprit", 3)], joined[:1], auto),
        FAULTS[5]: ([conv("culprit", 3, "Cnov2d")], alone, auto),
        FAULTS[6]: ([conv("culprit", 3, strde=2)], alone, auto),
        FAULTS[7]: ([block("first", "ReLU")], joined[:1], auto),
        FAULTS[8]: ([relu, relu], alone, auto),
        FAULTS[9]: ([conv("culprit", 3, stride=0)], alone, auto),
        FAULTS[10]: ([conv("culprit", 3)], alone, [8, 8, 8]),
        RIGHT[0]: ([conv("culprit", 3)], alone, auto),
        RIGHT[1]: ([conv("first", 1, output_feats=3), add], joined, auto),
        RIGHT[2]: ([conv("first", 1), cat], joined, auto),
    }
    blocks, graph, output = networks[fault]
    network = {
        "blocks": blocks,
        "graph": graph,
        "inputs": [{"_id": "x", "_shape": [3, 8, 8]}],
        "outputs": [{"_id": "y", "_shape": output}],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.jsonnet")
        path.write_text(json.dumps(network), encoding="utf-8")
        return _complaint(lambda: StandardModule(str(path)))


# ── n-orca ───────────────────────────────────────────────────────────────────────────────────

ORCA = """# architecture Network
## layer x [input]
- shape: (1, 3, 8, 8)
{layers}
## layer y [output]
## flow
| Source | Target | Tensor |
| --- | --- | --- |
{flow}
"""


def n_orca(fault: str) -> str | None:
    import n_orca as n
    from n_orca.compiler import compile_pytorch

    def layer(id: str, op: str, *bullets: str) -> str:
        return "\n- ".join((f"## layer {id}", f"op: {op}", *bullets))

    conv, relu = layer("culprit", "Conv2d(3, 8, 3)"), layer("culprit", "ReLU")
    add, cat = layer("culprit", "Add"), layer("culprit", "Concat(1)")
    narrow, valid = layer("first", "Conv2d(3, 8, 1)"), layer("first", "Conv2d(3, 8, 3)")
    alone = "x culprit, culprit y"
    chain = "x first, first culprit, culprit y"
    joined = f"{chain}, x culprit"
    networks = {
        FAULTS[0]: ([layer("culprit", "Conv2d(3, 8, 11)")], alone),
        FAULTS[2]: ([narrow, add], joined),
        FAULTS[3]: ([valid, cat], joined),
        FAULTS[4]: ([layer("first", "Flatten(1)"), conv], chain),
        FAULTS[5]: ([layer("culprit", "Cnov2d(3, 8, 3)")], alone),
        FAULTS[6]: ([layer("culprit", "Conv2d(3, 8, 3)", "shpae: (1, 8, 6, 6)")], alone),
        FAULTS[7]: ([layer("first", "Add")], "x first, culprit first, first y"),
        FAULTS[8]: ([relu, relu], alone),
        FAULTS[9]: ([layer("culprit", "Conv2d(3, 8, 3, 0)")], alone),
        FAULTS[10]: ([layer("culprit", "Conv2d(3, 8, 3)", "shape: (1, 8, 8, 8)")], alone),
        RIGHT[0]: ([layer("culprit", "Conv2d(3, 8, 3)", "shape: (1, 8, 6, 6)")], alone),
        RIGHT[1]: ([layer("first", "Conv2d(3, 3, 1)"), add], joined),
        RIGHT[2]: ([narrow, cat], joined),
    }
    if fault not in networks:
        raise NotImplementedError
    layers, edges = networks[fault]
    flow = "\n".join(f"| {' | '.join(edge.split())} | t |" for edge in edges.split(", "))
    text = ORCA.format(layers="\n".join(layers), flow=flow)

    def check() -> None:
        (network,) = n.parse(text)
        report = n.verify(network, strict=True)
        if not report.valid:
            raise ValueError(
                "\n".join(f"{e.code}: {e.message}\n-> {e.suggestion}" for e in report.errors)
            )
        module: dict[str, Any] = {}
        exec(compile_pytorch(network), module)
        module["Network"]()

    return _complaint(check)


def _complaint(build: Callable[[], object]) -> str | None:
    """What an exception says; None where there is none."""
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            build()
        except Exception as error:
            return str(error) or type(error).__name__
    return None


TOOLS: dict[str, Callable[[str], str | None]] = {
    "archdsl": archdsl,
    "Keras": keras,
    "ONNX": onnx,
    "NNEF": nnef,
    "mlnode": mlnode,
    "narchi": narchi,
    "n-orca": n_orca,
}


def cell(tool: str, fault: str) -> str:
    try:
        said = TOOLS[tool](fault)
    except NotImplementedError:
        return "—"
    if said is None:
        return "accepted"
    place = "place" if re.search(r"culprit|\[\d+:\d+\]|\['blocks'\]\[\d+\]", said) else "no place"
    return f"refused, {place}, {len(said):,}"


def main() -> None:
    print(f"| fault | {' | '.join(TOOLS)} |\n| --- |{' --- |' * len(TOOLS)}")
    for fault in (*FAULTS, *RIGHT):
        print(f"| {fault} | {' | '.join(cell(tool, fault) for tool in TOOLS)} |")
    names = ("keras", "torch", "onnx", "nnef", "mlnode", "narchi", "n-orca")
    print(f"\nVersions: {', '.join(f'{name} {version(name)}' for name in names)}.")


if __name__ == "__main__":
    main()
