"""Caffe's networks: what is read, that the numbers are Caffe's, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import prototxts
import pytest
from prototxts import Net, narrow
from sources import assert_judged, parameters

from archdsl.frontend import Inputs
from archdsl.importing.errors import NotInTheLanguage, NotTheSame, WrongSource
from archdsl.importing.files import FileSource
from archdsl.importing.from_caffe import prototxt
from archdsl.importing.from_caffe.file import read_caffe
from archdsl.importing.graph import INPUT
from archdsl.importing.importer import import_file
from archdsl.layers.volume import Volume


def read(text: str, input: Inputs | None = None) -> FileSource:
    return read_caffe(text, "Net", None, input)


#: As published; of GoogLeNet with its heads, and of ResNet without the biases that one of its
#: files has.
@pytest.mark.parametrize(
    ("text", "count"),
    [
        (prototxts.lenet(), 431_080),
        (prototxts.alexnet(), 60_965_224),
        (prototxts.alexnet(is_caffenet=True), 60_965_224),
        (prototxts.vgg(2, 2, 3, 3, 3), 138_357_544),
        (prototxts.vgg(2, 2, 4, 4, 4), 143_667_240),
        (prototxts.vgg_of_2014(), 138_357_544),
        (prototxts.nin(), 7_595_176),
        (prototxts.googlenet(), 13_378_280),
        (prototxts.googlenet(is_train=False), 6_998_552),
        (prototxts.resnet(3, 4, 6, 3), 25_557_032),
        (prototxts.resnet(3, 4, 23, 3), 44_549_160),
        (prototxts.resnet(3, 8, 36, 3), 60_192_808),
        (prototxts.squeezenet(), 1_248_424),
        (prototxts.squeezenet(is_1_1=True), 1_235_496),
        (prototxts.mobilenet_v1(), 4_231_976),
        (prototxts.mobilenet_v2(), 3_504_872),
        (prototxts.densenet(6, 12, 24, 16), 7_978_856),
        (prototxts.srcnn(), 8_129),
    ],
    ids="lenet alexnet caffenet vgg16 vgg19 vgg16-of-2014 nin googlenet googlenet-deploy resnet50 "
    "resnet101 resnet152 squeezenet1.0 squeezenet1.1 mobilenet mobilenet-v2 densenet121 "
    "srcnn".split(),
)
def test_published_parameters(text: str, count: int) -> None:
    assert parameters(read(text).graph) == count


@pytest.mark.parametrize(
    "text",
    [
        prototxts.lenet(),
        prototxts.alexnet(),
        prototxts.alexnet(is_caffenet=True),
        prototxts.zfnet(),
        prototxts.cnn_s(),
        prototxts.vgg(1, 1, 2, 2, 2, size=64),
        prototxts.nin(),
        prototxts.googlenet(),
        prototxts.resnet(3, 4, 6, 3, size=64),
        prototxts.squeezenet(),
        prototxts.squeezenet(is_1_1=True),
        prototxts.mobilenet_v1(),
        prototxts.mobilenet_v2(),
        prototxts.densenet(2, 2, 2, 2),
        prototxts.srcnn(),
        prototxts.asymmetric(),
        prototxts.unet(),
        prototxts.fcn(),
        prototxts.facenet(),
        prototxts.senet(),
    ],
    ids="lenet alexnet caffenet zfnet cnn-s vgg nin googlenet resnet50 squeezenet1.0 squeezenet1.1 "
    "mobilenet mobilenet-v2 densenet srcnn inception-v4 unet fcn face senet".split(),
)
def test_public_networks(text: str) -> None:
    assert_judged(read(narrow(text, 8)))


def test_heads_of_googlenet() -> None:
    graph = read(prototxts.googlenet()).graph
    assert graph.head_weights == (0.3, 0.3)
    ends = [graph.operations[of] for of in (*graph.heads, graph.output)]
    assert [o.path for o in ends] == ["loss1.classifier", "loss2.classifier", "loss3.classifier"]
    trained = {o.path for o in graph.operations if o.is_of_training and o.state}
    assert trained == {f"loss{n}.{part}" for n in (1, 2) for part in ("conv", "fc", "classifier")}


def parts(text: str) -> dict[str, list[str]]:
    """The parts around each layer with weights, by its path."""
    operations = read(text).graph.operations
    return {o.path: [f"{s.path}: {s.kind}" for s in o.scopes] for o in operations if o.state}


def test_names_are_paths_and_parts() -> None:
    found = parts(prototxts.googlenet(is_train=False))
    # Where a name could be no attribute, the layer's word is before it.
    assert found["inception_3a.conv5x5_reduce"] == ["inception_3a: inception"]
    assert found["inception_3a.pool_proj"] == ["inception_3a: inception"]
    assert found["conv1.conv7x7_s2"] == ["conv1: conv"]
    # Alone in its part.
    assert found["loss3.classifier"] == []
    operations = read(prototxts.googlenet(is_train=False)).graph.operations
    assert {s.kind for o in operations for s in o.scopes} == {"conv", "inception"}
    net = Net(8, 8)
    net.conv_bn("res2a_branch2b", 4, 3)
    assert parts(net.text)["res2a_branch2b.bn"] == ["res2a_branch2b: res_branch"]


def test_a_layer_called_like_a_part_is_in_it() -> None:
    net = Net(8, 8)
    net.conv_bn("conv1", 4, 3)
    net.conv_bn("a-b/conv/1x1", 4, 1)
    assert parts(net.text) == {
        "conv1.conv": ["conv1: conv"],
        "conv1.bn": ["conv1: conv"],
        "a_b.conv.conv1x1.conv": ["a_b: a_b", "a_b.conv: conv", "a_b.conv.conv1x1: conv"],
        "a_b.conv.conv1x1.bn": ["a_b: a_b", "a_b.conv: conv", "a_b.conv.conv1x1: conv"],
    }


def test_names_that_are_there_twice() -> None:
    net = Net(8, 8)
    for _ in range(3):
        net.conv("conv", 4, 1)
    assert [*parts(net.text)] == ["conv", "conv_2", "conv_3"]


# ── Single layers ────────────────────────────────────────────────────────────────────────────


def one(kind: str, size: int = 9, channels: int = 4, **more: object) -> str:
    net = Net(size, size, channels)
    net.add(kind, "layer", **more)
    return net.text


@pytest.mark.parametrize("kind", ["MAX", "AVE"])
@pytest.mark.parametrize("size", [7, 8, 9, 10])
@pytest.mark.parametrize(
    ("k", "s", "p"),
    [
        (2, 2, 0),
        (3, 2, 0),
        (3, 2, 1),
        (3, 1, 1),
        (3, 3, 1),
        (5, 3, 2),
        (2, 3, 0),
        (1, 2, 0),
        (1, 3, 0),
        (4, 3, 2),
    ],
)
@pytest.mark.parametrize("more", [{}, {"round_mode": "FLOOR"}], ids=["ceil", "floor"])
def test_pools(kind: str, size: int, k: int, s: int, p: int, more: dict[str, str]) -> None:
    """Each is Caffe's to the last window, or refused: where that would begin behind the input."""
    given = {"pool": kind, "kernel_size": k, "stride": s, "pad": p, **more}
    text = one("Pooling", size, pooling_param=given)
    begins_behind = not more and not p and -(-(size - k) // s) * s >= size
    if begins_behind:
        with pytest.raises(NotInTheLanguage, match="begins behind its input"):
            read(text)
    else:
        assert_judged(read(text))


LAYERS = {
    "dilated": ("Convolution", {"convolution_param": {
        "num_output": 6, "kernel_size": [3, 2], "stride": [1, 2], "pad": [1, 0], "dilation": 2}}),
    "grouped": ("Convolution", {"convolution_param": {
        "num_output": 8, "kernel_h": 1, "kernel_w": 3, "pad_h": 0, "pad_w": 1, "group": 2}}),
    "depthwise": ("Convolution", {"convolution_param": {
        "num_output": 4, "kernel_size": 3, "group": 4, "bias_term": False}}),
    "deconvolution": ("Deconvolution", {"convolution_param": {
        "num_output": 8, "kernel_size": 4, "stride": 2, "pad": 1, "group": 4, "dilation": 2}}),
    "fc": ("InnerProduct", {"inner_product_param": {"num_output": 5, "bias_term": "false"}}),
    "lrn": ("LRN", {"lrn_param": {"local_size": 3, "alpha": 0.5, "beta": 0.6, "k": 2}}),
    "bn": ("BatchNorm", {"batch_norm_param": {"eps": 0.01}}),
    "scale": ("Scale", {"scale_param": {"bias_term": True}}),
    "factor": ("Scale", {}),
    "flatten": ("Flatten", {}),
    "reshape": ("Reshape", {"reshape_param": {"shape": {"dim": [0, 9, 12, -1]}}}),
    "vector": ("Reshape", {"reshape_param": {"shape": {"dim": [0, -1]}}}),
    "leaky": ("ReLU", {"relu_param": {"negative_slope": 0.2}}),
    "prelu": ("PReLU", {}),
    "shared": ("PReLU", {"prelu_param": {"channel_shared": True}}),
    "elu": ("ELU", {"elu_param": {"alpha": 0.5}}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("TanH", {}),
    "bnll": ("BNLL", {}),
    "abs": ("AbsVal", {}),
    "swish": ("Swish", {}),
    "clip": ("Clip", {"clip_param": {"min": -0.5, "max": 1}}),
    "softmax": ("Softmax", {"softmax_param": {"axis": -3}}),
    "gmp": ("Pooling", {"pooling_param": {"pool": "MAX", "global_pooling": True}}),
    "gap": ("Pooling", {"pooling_param": {"pool": 1, "global_pooling": True}}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    kind, more = LAYERS[name]
    assert_judged(read(one(kind, **more)))


def merged(**eltwise: object) -> str:
    net = Net(6, 6)
    blobs = [net.conv(f"conv{i}", 4, 3, of="data") for i in range(3)]
    net.add("Eltwise", "sum", blobs, eltwise_param=eltwise)
    return net.text


@pytest.mark.parametrize(
    ("eltwise", "word"),
    [
        ({}, "add"),
        ({"operation": "SUM", "coeff": [1, 1, 1]}, "add"),
        ({"coeff": [-1, 1, -1]}, "sub"),
        ({"operation": "PROD"}, "mul"),
        ({"operation": "MAX"}, "max"),
    ],
)
def test_merges(eltwise: dict[str, object], word: str) -> None:
    source = read(merged(**eltwise))
    assert source.graph.operations[-1].layer.name == word
    assert_judged(source)


def test_slices_splits_and_several_results() -> None:
    net = Net(6, 6, 5)
    net.add("Split", "split", tops=["a", "b"])
    net.add("Slice", "slice", "a", ["1x", "y/z", "w"], slice_param={"slice_point": [1, 3]})
    net.concat("joined", "w", "b")
    source = read(net.text)
    assert [*source.graph.outputs] == ["out_1x", "y_z", "joined"]
    assert_judged(source)


def test_crop_to_a_size_that_only_other_layers_have() -> None:
    net = Net(8, 8)
    smaller = net.conv("smaller", 4, 3)
    net.conv("scored", 2, 1, of="data")
    net.add("Crop", "cut", [net.at, smaller], crop_param={"axis": 2, "offset": [1, 2]})
    source = read(net.text)
    assert [o.layer.name for o in source.graph.operations] == ["conv", "pad"]
    assert_judged(source)


def test_scale_behind_a_result_that_others_read() -> None:
    net = Net(6, 6, 4)
    normal = net.add("BatchNorm", "bn")
    scaled = net.add("Scale", "scale", scale_param={"bias_term": True})
    net.sum("sum", normal, scaled)
    source = read(net.text)
    assert [o.layer.name for o in source.graph.operations] == ["bn", "scale", "add"]
    assert_judged(source)


def test_batch_norm_and_scale_are_one() -> None:
    net = Net(6, 6, 4)
    net.bn("conv", relu=False)
    (operation,) = read(net.text).graph.operations
    assert operation.layer.affine  # type: ignore[attr-defined]
    assert operation.layer.momentum == 0.001  # type: ignore[attr-defined]
    assert operation.path == "conv.bn"


# ── Inputs and phases ────────────────────────────────────────────────────────────────────────

TAIL = 'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" '
TAIL += "inner_product_param { num_output: 3 } }"


@pytest.mark.parametrize(
    ("head", "volume"),
    [
        ('input: "data" input_dim: [1, 3, 8, 6]', "8x6x3"),
        ('input: "data" input_shape { dim: 1 dim: 20 }', "20"),
        ('layer { name: "d" type: "Input" top: "data" input_param { shape: { dim: 1 dim: 3 '
         "dim: 5 dim: 7 } } }", "5x7x3"),
        ('layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: "x" } '
         "transform_param { crop_size: 7 } }", "7x7x3"),
        ('layer { name: "d" type: "ImageData" top: "data" top: "label" image_data_param { '
         "new_height: 4 new_width: 5 is_color: false } }", "4x5x1"),
        ('layer { name: "d" type: "MemoryData" top: "data" top: "label" memory_data_param { '
         "batch_size: 1 channels: 2 height: 4 width: 5 } }", "4x5x2"),
    ],
)  # fmt: skip
def test_inputs(head: str, volume: str) -> None:
    assert str(read(f"{head}\n{TAIL}").graph.volume(INPUT)) == volume


def test_the_size_of_a_database_is_given() -> None:
    text = 'layer { name: "d" type: "Data" top: "data" top: "label" }\n' + TAIL
    with pytest.raises(WrongSource, match="it does not say how large `data` is: give the size"):
        read(text)
    assert str(read(text, Volume.image(28, 28, 1)).graph.volume(INPUT)) == "28x28x1"


def test_layers_of_training_alone() -> None:
    train, test = ({"include": {"phase": phase}} for phase in ("TRAIN", "TEST"))
    net = Net(6, 6, 4)
    net.over("BatchNorm", "bn", batch_norm_param={"use_global_stats": False}, **train)
    net.over("BatchNorm", "bn", batch_norm_param={"use_global_stats": True}, **test)
    net.over("Dropout", "drop", **train)
    net.over("ReLU", "relu", exclude={"phase": "TRAIN"})
    assert [o.layer.name for o in read(net.text).graph.operations] == ["bn", "dropout", "relu"]
    net.over("Sigmoid", "extra", **train)
    with pytest.raises(NotInTheLanguage, match=r"`extra` \(Sigmoid\): only training has"):
        read(net.text)


def test_several_inputs() -> None:
    text = 'input: "a" input_dim: [1, 3, 8, 8] input: "b" input_dim: [1, 4, 8, 8]'
    text += 'layer { name: "conv" type: "Convolution" bottom: "b" top: "d" '
    text += "convolution_param { num_output: 3 kernel_size: 1 } }"
    text += 'layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "d" top: "c" }'
    source = read(text)
    assert_judged(source)
    made = import_file(source, "net.prototxt")
    assert made.model.signature == "(a: 8x8x3, b: 8x8x4) → 8x8x3"
    turned = replace(
        source, run=lambda images, state: source.run([2 * images[0], images[1]], state)
    )
    with pytest.raises(NotTheSame, match="its output differs by"):
        import_file(turned, "net.prototxt")
    larger = read(text, {"a": Volume.image(9, 9, 3), "b": Volume.image(9, 9, 4)})
    assert str(larger.graph.volume(INPUT - 1)) == "9x9x4"
    with pytest.raises(WrongSource, match=r'takes 2 inputs: .* `--input "a: 9x9x3, b: 9x9x3"`'):
        read(text, Volume.image(9, 9, 3))
    with pytest.raises(WrongSource, match="has no input `c`; its inputs are `a`, `b`"):
        read(text, {"c": Volume.image(9, 9, 3)})


def test_an_input_that_changes_nothing_proves_nothing() -> None:
    """A factor that is always 1: a wrong way from its input would not be noticed."""
    text = 'input: "a" input_dim: [1, 1, 8, 8] input: "b" input_dim: [1, 1, 8, 8]'
    text += 'layer { name: "conv" type: "Convolution" bottom: "b" top: "d" '
    text += "convolution_param { num_output: 1 kernel_size: 1 } }"
    text += 'layer { name: "softmax" type: "Softmax" bottom: "d" top: "e" }'
    text += 'layer { name: "conv2" type: "Convolution" bottom: "a" top: "f" '
    text += "convolution_param { num_output: 1 kernel_size: 1 } }"
    text += 'layer { name: "product" type: "Eltwise" bottom: "f" bottom: "e" top: "c" '
    text += "eltwise_param { operation: PROD } }"
    with pytest.raises(WrongSource, match="is the same for different images as its input `b`"):
        import_file(read(text), "net.prototxt")


# ── What is refused ──────────────────────────────────────────────────────────────────────────


def test_all_refusals_at_once() -> None:
    net = Net(8, 8)
    net.add("Power", "half", power_param={"scale": 0.5})
    net.add("Permute", "turned")
    net.add("Softmax", "next")
    net.add("LRN", "local", "data", lrn_param={"norm_region": "WITHIN_CHANNEL"})
    net.add("ReLU", "relu", "data", relu_param={"negative_slope": 0, "extra": 1})
    net.add("Pooling", "drawn", "data", pooling_param={"pool": "STOCHASTIC", "kernel_size": 2})
    net.conv("one", 2, 1, of="data")
    with pytest.raises(NotInTheLanguage) as caught:
        read(net.text)
    assert caught.value.reasons == (
        "line 4, `half` (Power): a power, a factor or a sum with a number is not in the language",
        "line 5, `turned` (Permute): there is no such layer in the language",
        "line 7, `local` (LRN): normalization within each channel is not in the language",
        "line 8, `relu` (ReLU): `extra` (line 8) is not in the language",
        "line 9, `drawn` (Pooling): stochastic pooling is not in the language",
    )


def shared() -> str:
    net = Net(8, 8)
    for name in ("conv1", "conv2"):
        net.add("Convolution", name, convolution_param={"num_output": 3, "kernel_size": 1},
                param={"name": '"w"'})  # fmt: skip
    return net.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (prototxts.crelu(), "a power, a factor or a sum with a number"),
        (shared(), "the weights `w` of an earlier layer"),
        (merged(coeff=[1, 0.5, 1]), "a sum with the factors 1, 0.5, 1"),
        (one("Concat", concat_param={"axis": 2}), "`axis: 2` (line 4) is not in the language"),
        (one("BatchNorm", batch_norm_param={"use_global_stats": False}), "by the batch in eval"),
        (one("Scale", scale_param={"axis": 0}), "`axis: 0`"),
        (one("Reshape", reshape_param={"shape": {"dim": [0, 2, -1]}}), "a new shape other than"),
        (one("ReLU", include={"stage": '"x"'}), "line 4: a rule by `stage` is not read"),
        (one("ReLU", loss_weight=1), "`loss_weight` of what is no loss"),
        (one("Pooling", tops=["a", "b"], pooling_param={"kernel_size": 2}), "a second `top`"),
        (one("Slice", tops=["a", "b"], slice_param={"axis": 2}), "`axis: 2`"),
    ],
)  # fmt: skip
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(NotInTheLanguage) as caught:
        read(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no layers"),
        ('net: "train_val.prototxt"\nbase_lr: 0.01', "line 1: `net` is no field"),
        (one("ReLU").replace("}", "", 1), "the text ends too early"),
        (one("ReLU") + "}", "line 5, column 1: `}`"),
        (one("ReLU").replace('"layer" ', "}", 1), "column 15: `}`, where a value belongs"),
        (one("ReLU").replace('"ReLU"', '"ReLU\n'), "a string does not end in its line"),
        (one("ReLU").replace('"data"', "data", 1), "line 2: `input` is a string"),
        (one("ReLU", bottoms="other"), "line 4: no layer before this one makes `other`"),
        (one("Convolution"), "line 4: `kernel_size` is missing"),
        (one("Convolution", convolution_param={"kernel_size": 3}), "`num_output` is missing"),
        (one("Convolution", convolution_param={"kernel_size": 0, "num_output": 1}), "at least 1"),
        (one("Convolution", convolution_param={"kernel_size": "x", "num_output": 1}), "not `x`"),
        (one("Convolution", convolution_param=3), "is a message in braces"),
        (one("Convolution", convolution_param={"kernel_size": 3, "num_output": 2**31 - 1}),
         "more than archdsl reads"),
        (one("Convolution", convolution_param={"kernel_size": 3, "num_output": "9" * 5000}),
         "is a whole number"),
        (one("Dropout", dropout_param={"dropout_ratio": 1}), "at least 0 and below 1"),
        (one("LRN", lrn_param={"local_size": 4}), "`local_size` is odd, not 4"),
        (one("LRN", lrn_param={"alpha": "1e999"}), "`alpha` is a number"),
        (one("Slice", tops=["a", "b"], slice_param={"slice_point": 9}), "does not part 4 in 2"),
        (one("ReLU", bottoms=["data", "data"]), "it has 2 bottoms"),
        (one("Split", tops=["a", "a"]), "line 4: an earlier layer makes `a`, too"),
        (one("ReLU", tops=["x"]) + 'layer { type: "TanH" bottom: "data" top: "x" }',
         "line 5: an earlier layer makes `x`, too"),
        (one("ReLU") + "layers { type: RELU }", "line 5: `layers`, which are an older format"),
        (one("ReLU", include={"phase": "BOTH"}), "`phase` is TRAIN or TEST"),
        (one("Split", tops=["a", "b"]), "`a` is the input itself"),
        (Net(8, 8).text, "it has no layers"),
        ('layers { layer { name: "conv1" type: "conv" } }', "of the format before 2014"),
        ("a {" * 100_000, "nested 51 deep"),
        ("\0garbage" * 1_000_000, "line 1, column 1: `�garbage�garbage"),
        ('"' * 10_000_000, "line 1, column 1"),
    ],
)  # fmt: skip
def test_wrong_prototxts(text: str, message: str) -> None:
    with pytest.raises(WrongSource) as caught:
        read(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_text_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prototxt, "_MAX_TOKENS", 1000)
    with pytest.raises(WrongSource, match="line 334: more than 1,000 words come before it"):
        read("a: 1\n" * 500_000)
