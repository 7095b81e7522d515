"""ONNX files as specs: what is written, and that onnxruntime computes the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT
from imports import bare_body_of, body_of
from onnx_models import LIGHT, drawn, model, node

import archdsl
from archdsl.importing.errors import NotInTheLanguage, NotTheSame, WrongSource
from archdsl.importing.from_onnx.file import read_onnx
from archdsl.importing.importer import Imported, import_file
from archdsl.layers import activation
from archdsl.layers.volume import Volume
from archdsl.torch_tools.export import export_onnx


def imported(content: bytes) -> Imported:
    return import_file(read_onnx(content, "Net"), "net.onnx")


def statements_of(made: Imported) -> str:
    """What stands in the braces of a short network."""
    return "; ".join(line.strip() for line in bare_body_of(made)[1:-1])


# ── Classic networks ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "lines", "weights"),
    [
        ("bvlc_alexnet", 10, 60_965_224),
        ("densenet121", 30, 8_062_248),
        ("inception_v1", 30, 6_998_552),
        ("inception_v2", 75, 11_213_288),
        ("resnet50", 25, 25_557_032),
        ("shufflenet", 30, 1_393_320),
        ("squeezenet", 15, 1_235_496),
    ],
)
def test_classic_networks_are_short(name: str, lines: int, weights: int) -> None:
    """All but the two with most weights; `benchmarks/imports.py` has these as well."""
    made = imported((LIGHT / f"light_{name}.onnx").read_bytes())
    assert made.model.input == Volume((224, 224, 3))
    assert made.model.output.elements == 1000
    assert made.model.trunk.parameters == weights
    assert len(body_of(made)) <= lines
    assert archdsl.format(made.text) == made.text


def test_a_flat_resnet_gets_its_block_back() -> None:
    made = imported((LIGHT / "light_resnet50.onnx").read_bytes())
    assert (
        "\n".join(bare_body_of(made))
        == """\
block residual(n, s=1, projects=false) {
  add {
    | conv 1x1 n nobias bn relu
      conv 3x3 n stride=s p1 nobias bn relu
      conv 1x1 (4*n) nobias bn
    | if projects { conv 1x1 (4*n) stride=s nobias bn } else { id }
  }
  relu
}
network Net: 224x224x3 → 1000 {
  conv 7x7 64 s2 p3 nobias bn relu maxpool 3x3 s2 p1
  residual(64, projects=true)
  residual(64) ×2
  residual(128, 2, true)
  residual(128) ×3
  residual(256, 2, true)
  residual(256) ×5
  residual(512, 2, true)
  residual(512) ×2
  gap
  fc 1000 softmax
}"""
    )
    # The file has one number for all weights, with which no comparison could tell anything.
    assert "with random weights" in made.text


@pytest.mark.parametrize("name", ["lenet5", "nin_cifar10", "vgg11", "zoo/unet"])
def test_what_archdsl_exports_comes_back(name: str) -> None:
    """With its volumes and its parts; batch normalization is in the convolutions by then."""
    original = archdsl.load(ROOT / "specs" / f"{name}.arch")
    made = imported(export_onnx(original, archdsl.compile(original)).content)
    assert (made.model.input, made.model.output) == (original.input, original.output)
    assert made.model.trunk.macs == original.trunk.macs
    assert "with its own weights" in made.text


# ── Operations ───────────────────────────────────────────────────────────────────────────────

W, B = drawn(8, 4, 3, 3), drawn(8, seed=1)
SCALES = {"s": drawn(4) ** 2 + 0.5, "b": drawn(4, seed=1), "m": drawn(4), "v": drawn(4) ** 2 + 0.5}


@pytest.mark.parametrize(
    ("nodes", "constants", "statements"),
    [
        ([node("Conv", "x w", "y")], {"w": W}, "conv 3x3 8 nobias"),
        ([node("Conv", "x w b", "y", pads=[1] * 4)], {"w": W, "b": B}, "conv 3x3 8 same"),
        ([node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])], {"w": W},
         "conv 3x3 8 s2 same nobias"),
        ([node("Conv", "x w", "y", auto_pad="SAME_LOWER", strides=[2, 2])], {"w": W},
         "pad 1 0 1 0; conv 3x3 8 s2 nobias"),
        ([node("Conv", "x w", "y", pads=[2, 0, 0, 1])], {"w": W},
         "pad 0 1 2 0; conv 3x3 8 nobias"),
        ([node("Conv", "x w", "y", group=4)], {"w": drawn(4, 1, 3, 3)}, "dwconv 3x3 nobias"),
        ([node("Conv", "x w", "t"), node("Add", "t b", "y")], {"w": W, "b": drawn(8, 1, 1)},
         "conv 3x3 8"),
        ([node("ConvTranspose", "x w b", "y", strides=[2, 2], pads=[1] * 4,
               output_padding=[1, 1])],
         {"w": drawn(4, 8, 3, 3), "b": B}, "deconv 3x3 8 s2 p1 output_padding=1"),
        ([node("BatchNormalization", "x s b m v", "y", epsilon=1e-3)], SCALES, "bn eps=0.001"),
        ([node("BatchNormalization", "x s b m v", "t"), node("Mul", "t f", "u"),
          node("Add", "u a", "y")],
         {**SCALES, "s": np.ones(4, np.float32), "b": np.zeros(4, np.float32),
          "f": drawn(4, 1, 1), "a": drawn(4, 1, 1, seed=2)}, "bn"),
        ([node("BatchNormalization", "x s b m v", "t"), node("Mul", "t f", "u"),
          node("Add", "u a", "y")],
         {**SCALES, "f": drawn(4, 1, 1), "a": drawn(4, 1, 1, seed=2)}, "bn scale"),
        ([node("InstanceNormalization", "x s b", "y")], SCALES, "in affine=true"),
        ([node("LRN", "x", "y", size=5, alpha=2e-4)], {}, "lrn 5 alpha=0.0002"),
        ([node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], {},
         "maxpool 3x3 s2 ceil"),
        ([node("MaxPool", "x", "y", kernel_shape=[2, 2])], {}, "maxpool 2x2 s1"),
        ([node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[0, 0, 1, 1])], {},
         "maxpool 2x2 s1 same"),
        ([node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[3, 3], pads=[0, 0, 1, 1])], {},
         "maxpool 3x3 same"),
        ([node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1] * 4)], {},
         "avgpool 3x3 s1 p1 count_include_pad=false"),
        ([node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 0, 0],
               count_include_pad=1)], {}, "pad 1 0 1 0 avgpool 3x3 s1"),
        ([node("AveragePool", "x", "y", kernel_shape=[9, 9], pads=[0, 0, 1, 1])], {}, "gap"),
        ([node("GlobalMaxPool", "x", "y")], {}, "gmp"),
        ([node("ReduceMean", "x", "y", axes=[2, 3], keepdims=0)], {}, "gap flatten"),
        ([node("Clip", "x lo hi", "y")], {"lo": np.float32(0), "hi": np.float32(6)}, "relu6"),
        ([node("Clip", "x lo", "y")], {"lo": np.float32(0)}, "relu"),
        ([node("Clip", "x lo hi", "y")], {"lo": np.float32(-2), "hi": np.float32(1)},
         "hardtanh min_val=-2"),
        ([node("LeakyRelu", "x", "y", alpha=0.1)], {}, "leakyrelu 0.1"),
        ([node("PRelu", "x w", "y")], {"w": drawn(4, 1, 1)}, "prelu num_parameters=4"),
        ([node("Sigmoid", "x", "t"), node("Mul", "x t", "y")], {}, "silu"),
        ([node("HardSigmoid", "x", "t", alpha=1 / 6), node("Mul", "t x", "y")], {}, "hardswish"),
        ([node("Softplus", "x", "s"), node("Tanh", "s", "t"), node("Mul", "x t", "y")], {},
         "mish"),
        ([node("Sigmoid", "x", "t"), node("Mul", "x t", "u"), node("Add", "u t", "y")], {},
         "add { mul { id | part1: sigmoid } | part1 }"),
        ([node("Softmax", "x", "y", axis=1)], {}, "softmax"),
        ([node("Reshape", "x s", "t"), node("Transpose", "t", "u", perm=[0, 2, 1, 3, 4]),
          node("Reshape", "u r", "y")],
         {"s": np.array([1, 2, 2, 8, 8]), "r": np.array([1, 4, 8, 8])}, "channelshuffle 2"),
        ([node("DepthToSpace", "x", "y", blocksize=2, mode="CRD")], {}, "pixelshuffle 2"),
        ([node("Reshape", "x s", "t"), node("Transpose", "t", "u", perm=[0, 1, 4, 2, 5, 3]),
          node("Reshape", "u r", "y")],
         {"s": np.array([1, 1, 2, 2, 8, 8]), "r": np.array([1, 1, 16, 16])}, "pixelshuffle 2"),
        ([node("Shape", "x", "s"), node("Gather", "s i", "n"), node("Unsqueeze", "n a", "n1"),
          node("Concat", "n1 m", "r", axis=0), node("Reshape", "x r", "y")],
         {"i": np.array(0), "a": np.array([0]), "m": np.array([-1])}, "flatten"),
        ([node("Flatten", "x", "t"), node("Gemm", "t w b", "y", transB=1)],
         {"w": drawn(5, 256), "b": drawn(5)}, "fc 5"),
        ([node("Flatten", "x", "t"), node("MatMul", "t w", "u"), node("Add", "u b", "y")],
         {"w": drawn(256, 5), "b": drawn(5)}, "fc 5"),
        ([node("Split", "x", "a b", axis=1), node("Concat", "b a", "y", axis=1)], {},
         "concat { slice 2 | slice 0 2 }"),
        ([node("Slice", "x s e a", "y")],
         {"s": np.array([1, 2]), "e": np.array([3, 8]), "a": np.array([1, 3])},
         "slice 1 3 pad -2 0 0 0"),
        ([node("Pad", "x p", "y", mode="reflect")], {"p": np.array([0, 0, 1, 2, 0, 0, 1, 2])},
         "pad 2 2 1 1 reflect"),
        ([node("Pad", "x p", "y")], {"p": np.array([0, 1, 0, 0, 0, 2, 0, 0])},
         "padchannels 1 2"),
        ([node("Resize", "x _ s", "y", mode="nearest")],
         {"s": np.array([1, 1, 2, 2], np.float32)}, "upsample 2"),
        ([node("Resize", "x _ s", "y", mode="linear")],
         {"s": np.array([1, 1, 2, 2], np.float32)}, "upsample 2x2 mode=bilinear"),
        ([node("Mul", "x f", "y")], {"f": drawn(4, 1, 1)}, "layerscale 1"),
        ([node("GlobalAveragePool", "x", "p"), node("Mul", "x p", "y")], {},
         "mul { id | gap }"),
        ([node("Pad", "x p low", "t"), node("MaxPool", "t", "y", kernel_shape=[2, 2])],
         {"p": np.array([0, 0, 0, 0, 0, 0, 1, 1]), "low": np.float32(-np.inf)},
         "maxpool 2x2 s1 same"),
        ([node("Gather", "x i", "y", axis=1)], {"i": np.array([2, 0, -1])}, "take 2 0 3"),
        ([node("Reshape", "x s", "t"), node("InstanceNormalization", "t one zero", "u"),
          node("Reshape", "u r", "v"), node("Mul", "v f", "w"), node("Add", "w a", "y")],
         {"s": np.array([0, 2, -1]), "r": np.array([1, 4, 8, 8]), "f": drawn(4, 1, 1),
          "a": drawn(4, 1, 1), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32)},
         "gn 2"),
        ([node("Dropout", "x", "y")], {}, "dropout 0.5"),
    ],
    ids=lambda value: value.replace("; ", "+") if isinstance(value, str) else None,
)  # fmt: skip
def test_operations(
    nodes: list[onnx.NodeProto], constants: dict[str, Any], statements: str
) -> None:
    made = imported(model(nodes, constants))
    assert statements_of(made).startswith(statements)


def test_more_images_at_once_than_one() -> None:
    flat = [node("Reshape", "x s", "t"), node("Gemm", "t w", "y", transB=1)]
    made = imported(model(flat, {"s": np.array([3, -1]), "w": drawn(5, 256)}, input=(3, 4, 8, 8)))
    assert statements_of(made) == "fc 5 nobias"


def test_several_results_are_parts_by_name() -> None:
    nodes = [
        node("Conv", "x w", "t"),
        node("Relu", "t", "shared"),
        node("Conv", "shared v", "scores"),
        node("Sigmoid", "shared", "mask"),
    ]
    constants = {"w": W, "v": drawn(2, 8, 1, 1)}
    made = imported(model(nodes, constants, outputs=["mask", "scores"]))
    assert (
        "\n".join(bare_body_of(made))
        == """\
network Net: 8x8x4 → (mask: 6x6x8, scores: 6x6x2) {
  conv 3x3 8 nobias; part1: relu
  scores: conv 1x1 2 nobias
  part1; mask: sigmoid
}"""
    )


def test_results_that_share_the_input_alone() -> None:
    nodes = [node("Conv", "x w", "one"), node("Relu", "x", "two"), node("Sigmoid", "x", "three")]
    made = imported(model(nodes, {"w": W}, outputs=["one", "two", "three"]))
    assert (
        "\n".join(bare_body_of(made))
        == """\
network Net: (image: 8x8x4) → (one: 6x6x8, two: 8x8x4, three: 8x8x4) {
  one: conv 3x3 8 nobias
  image; two: relu
  image; three: sigmoid
}"""
    )


def test_a_result_on_the_way_to_another() -> None:
    nodes = [node("Conv", "x w", "first"), node("Relu", "first", "y")]
    made = imported(model(nodes, {"w": W}, outputs=["y", "first"]))
    assert statements_of(made) == "first: conv 3x3 8 nobias; y: relu"


@pytest.mark.parametrize(
    ("nodes", "constants", "reason"),
    [
        ([node("Sin", "x", "y")], {}, "`Sin` is not in the language"),
        ([node("Relu", "x", "y", domain="com.example")], {},
         "`com.example.Relu` is not in the language"),
        ([node("Add", "x c", "y")], {"c": np.float32(2)},
         "`Add` with a constant is not in the language"),
        ([node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[1, 1, 0, 0])], {},
         "`MaxPool` with pads=[1, 1, 0, 0] is not in the language"),
        ([node("DepthToSpace", "x", "y", blocksize=2)], {},
         "`DepthToSpace` with mode=DCR is not in the language"),
        ([node("Resize", "x _ s", "y", mode="cubic")],
         {"s": np.array([1, 1, 2, 2], np.float32)},
         "`Resize` with cubic, half_pixel, round_prefer_floor is not in the language"),
        ([node("MaxPool", "x", "t i", kernel_shape=[2, 2]), node("Cast", "i", "j", to=1),
          node("Add", "t j", "y")], {},
         "`MaxPool` with its result 'i' is not in the language"),
        ([node("Pad", "x p low", "t"), node("Relu", "t", "y")],
         {"p": np.array([0, 0, 0, 0, 0, 0, 1, 1]), "low": np.float32(-np.inf)},
         "a border of −∞ is only in the language around a maximum pool"),
        ([node("Transpose", "x", "y", perm=[0, 2, 3, 1])], {},
         "axes in another order are not in the language"),
        ([node("Conv", "x w", "t"), node("Conv", "t w b", "y")],
         {"w": drawn(4, 4, 3, 3), "b": drawn(4)},
         "the weights 'w' are used twice, by different layers"),
        ([node("Flatten", "x", "v"), node("Gemm", "v m", "t"), node("Gemm", "t q", "u"),
          node("Gemm", "u q", "y", transB=1)], {"m": drawn(256, 5), "q": drawn(5, 5)},
         "the weights 'q' are used twice, by different layers"),
        ([node("Conv", "x x", "y")], {}, "`Conv` with 'x', which is computed"),
        ([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")],
         {"s": np.array([10**6, 10**6])}, "a constant of 1000000000000 numbers is too large"),
        ([node("Identity", "x", "y")], {}, "y: no layer gives this result"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_what_is_refused(
    nodes: list[onnx.NodeProto], constants: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotInTheLanguage) as told:
        imported(model(nodes, constants))
    assert reason in str(told.value)


def test_all_of_it_at_once_and_what_depends_on_it_is_left_out() -> None:
    nodes = [node("Sin", "x", "t"), node("Cos", "t", "u"), node("Tan", "x", "v")]
    nodes = [*nodes, node("Add", "u v", "y")]
    with pytest.raises(NotInTheLanguage) as told:
        imported(model(nodes))
    assert told.value.reasons == (
        "node 0: `Sin` is not in the language",
        "node 2: `Tan` is not in the language",
    )


def test_the_volume_of_an_open_input_must_be_given() -> None:
    content = model([node("Conv", "x w", "y")], {"w": W}, input=("n", 4, "h", "w"))
    with pytest.raises(WrongSource, match=r"its input is \?x\?x4: pass the volume"):
        read_onnx(content, "Net")
    made = import_file(read_onnx(content, "Net", Volume((9, 7, 4))), "net.onnx")
    assert made.model.output == Volume((7, 5, 8))
    with pytest.raises(WrongSource, match=r"the file's input is \?x\?x4, not 9x7x3"):
        read_onnx(content, "Net", Volume((9, 7, 3)))


def test_several_inputs() -> None:
    """Each has a volume of its own, and one name at least that the language has not."""
    nodes = [
        node("Conv", "x w", "t"),
        node("Conv", "mask.1 v", "u"),
        node("Sigmoid", "u", "s"),
        node("Mul", "t s", "y"),
    ]
    constants = {"w": W, "v": drawn(8, 2, 1, 1)}
    content = model(nodes, constants, others={"mask.1": (1, 2, 6, "w")})
    with pytest.raises(WrongSource, match=r"its input `mask\.1` is 6x\?x2: pass the volume"):
        read_onnx(content, "Net")
    made = import_file(read_onnx(content, "Net", {"mask.1": Volume((6, 6, 2))}), "net.onnx")
    assert made.model.signature == "(x: 8x8x4, mask_1: 6x6x2) → 6x6x8"
    assert "mul {" in made.text
    with pytest.raises(
        WrongSource, match="Net takes 2 inputs: give the volume of each by its name"
    ):
        read_onnx(content, "Net", Volume((8, 8, 4)))
    with pytest.raises(
        WrongSource, match=r"Net has no input `mask`; its inputs are `x`, `mask\.1`"
    ):
        read_onnx(content, "Net", {"mask": Volume((6, 6, 2))})
    many = model(nodes, constants, input=(2, 4, 8, 8), others={"mask.1": (3, 2, 6, 6)})
    with pytest.raises(NotInTheLanguage, match="its inputs are of 2 and 3 images at once"):
        read_onnx(many, "Net")


@pytest.mark.parametrize("is_trained", [True, False])
def test_layers_that_run_again(is_trained: bool) -> None:
    """Two images go through the same weights, which are the file's own or random ones."""
    nodes = [
        node("Conv", "x w b", "t"), node("Relu", "t", "u"), node("Gemm", "v m", "one", transB=1),
        node("Conv", "z w b", "r"), node("Relu", "r", "s"), node("Gemm", "q m", "two", transB=1),
        node("Flatten", "u", "v"), node("Flatten", "s", "q"), node("Sub", "one two", "y"),
    ]  # fmt: skip
    nodes = [nodes[i] for i in (0, 1, 6, 2, 3, 4, 7, 5, 8)]
    weights = {"w": W, "b": B, "m": drawn(5, 288)}
    if not is_trained:
        weights = {name: np.full_like(value, 0.5) for name, value in weights.items()}
        weights = {**weights, "b": B}
    source = read_onnx(model(nodes, weights, others={"z": (1, 4, 8, 8)}), "Net")
    made = import_file(source, "net.onnx")
    # A bias that is not one number throughout is shared on purpose; the other could be by chance.
    assert made.text.count("reuse ") == (2 if is_trained else 1)
    assert len(made.state) == (3 if is_trained else 0)


def test_a_wrong_way_from_a_second_input_is_told() -> None:
    nodes = [node("Elu", "x", "t"), node("Sub", "t z", "y")]
    source = read_onnx(model(nodes, others={"z": (1, 4, 8, 8)}), "Net")
    elu, sub = source.graph.operations
    turned = replace(sub, inputs=(elu.id, -1))
    graph = replace(source.graph, operations=(elu, turned))
    with pytest.raises(NotTheSame, match="its output differs by"):
        import_file(replace(source, graph=graph), "net.onnx")


@pytest.mark.parametrize("kind", [onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT16])
def test_inputs_of_other_types_are_refused(kind: int) -> None:
    with pytest.raises(NotInTheLanguage, match="its input is of type"):
        read_onnx(model([node("Relu", "x", "y")], kind=kind), "Net")


def test_what_is_no_model() -> None:
    whole = model([node("Conv", "x w", "y")], {"w": W})
    for content in (b"", b"\x80\x04pickle", whole[: len(whole) // 2]):
        with pytest.raises(WrongSource, match="Net is not a valid ONNX model"):
            read_onnx(content, "Net")


def test_results_that_prove_nothing() -> None:
    """A softmax of one channel is 1, whatever is computed before it."""
    nodes = [node("Conv", "x w", "t"), node("Softmax", "t", "y", axis=1)]
    with pytest.raises(WrongSource, match="the same for different images"):
        imported(model(nodes, {"w": drawn(1, 4, 3, 3)}))


def test_a_wrong_graph_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: the file has another stride than what was read."""
    source = read_onnx(model([node("Conv", "x w", "t"), node("Elu", "t", "y")], {"w": W}), "Net")
    read = source.graph.operations
    changed = replace(read[1], layer=activation.ELU(0.9))
    graph = replace(source.graph, operations=(read[0], changed))
    with pytest.raises(NotTheSame, match="its output differs by"):
        import_file(replace(source, graph=graph), "net.onnx")


def test_weights_with_which_images_make_no_difference() -> None:
    """They are compared, and random ones as well."""
    nodes = [node("Conv", "x w b", "t"), node("GlobalAveragePool", "t", "y")]
    content = model(nodes, {"w": 1e-6 * W, "b": 1 + B})
    made = imported(content)
    assert "with its own weights and random ones" in made.text
    assert torch.equal(made.state["0.weight"], torch.from_numpy(1e-6 * W))
    source = read_onnx(content, "Net")
    turned = {0: {name: tensor.flip(0) for name, tensor in source.state[0].items()}}
    with pytest.raises(NotTheSame, match="its output differs by"):
        import_file(replace(source, state=turned, run=lambda x, _: source.run(x, source.state)), "")


def test_weights_that_are_one_number_throughout() -> None:
    """One of several makes no structure alone: all are the file's, and random ones are compared."""
    nodes = [node("Conv", "x w", "t"), node("Conv", "t v", "u"), node("Add", "t u", "y")]
    zeros = np.zeros((8, 8, 1, 1), np.float32)
    made = imported(model(nodes, {"w": W, "v": zeros}))
    assert "with its own weights and random ones" in made.text
    assert [bool(tensor.any()) for tensor in made.state.values()] == [True, False]
    alone = imported(model(nodes, {"w": W * 0 + 1, "v": zeros}))
    assert "with random weights" in alone.text
    assert not alone.state


def test_weights_that_others_read_as_well() -> None:
    """An optimizer makes equal constants one; each layer has its own for all that."""
    nodes = [node("BatchNormalization", "x one zero m v", "t"),
             node("BatchNormalization", "t one zero m2 v2", "y")]  # fmt: skip
    constants = {"one": np.ones(4, np.float32), "zero": np.zeros(4, np.float32)}
    constants |= {"m": drawn(4), "v": drawn(4) ** 2 + 1, "m2": drawn(4, seed=1)}
    made = imported(model(nodes, {**constants, "v2": drawn(4, seed=2) ** 2 + 1}))
    assert statements_of(made) == "bn bn"


def test_weights_in_a_file_beside_the_model(tmp_path: Path) -> None:
    """As ``torch.onnx.export`` writes large networks."""
    proto = onnx.load_model_from_string(model([node("Conv", "x w", "y")], {"w": W}))
    path = tmp_path / "net.onnx"
    onnx.save_model(
        proto, str(path), save_as_external_data=True, location="net.data", size_threshold=0
    )
    made = import_file(read_onnx(path.read_bytes(), "Net", None, tmp_path), "net.onnx")
    assert torch.equal(made.state["0.weight"], torch.from_numpy(W))
    (tmp_path / "net.data").unlink()
    with pytest.raises(WrongSource, match="Net is not a valid ONNX model"):
        read_onnx(path.read_bytes(), "Net", None, tmp_path)


def test_weights_are_read_from_the_folder_of_the_model_alone(tmp_path: Path) -> None:
    proto = onnx.load_model_from_string(model([node("Conv", "x w", "y")], {"w": W}))
    (folder := tmp_path / "inner").mkdir()
    path = folder / "net.onnx"
    onnx.save_model(
        proto, str(path), save_as_external_data=True, location="net.data", size_threshold=0
    )
    (folder / "net.data").rename(tmp_path / "net.data")
    moved = path.read_bytes().replace(b"net.data", b"../net.d")
    (tmp_path / "net.data").rename(tmp_path / "net.d")
    with pytest.raises(WrongSource, match="Net is not a valid ONNX model"):
        read_onnx(moved, "Net", None, folder)
