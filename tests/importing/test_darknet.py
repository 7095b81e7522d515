"""Configurations of Darknet: what is read, that the numbers are Darknet's, and what is refused."""

from __future__ import annotations

import struct
from math import prod

import cfgs
import pytest
import torch
from cfgs import cfg, conv, net, pool, route, section
from sources import assert_judged, parameters

from archdsl.importing.building import weights_of
from archdsl.importing.errors import NotInTheLanguage, WrongSource
from archdsl.importing.files import FileSource
from archdsl.importing.from_darknet.file import read_darknet
from archdsl.layers.pool import MaxPool


def read(text: str, weights: bytes | None = None) -> FileSource:
    return read_darknet(text, "Net", weights)


def numbers_in_file(source: FileSource) -> int:
    return sum(
        prod(sizes)
        for o in source.graph.operations
        for key, sizes in weights_of(o.layer, source.graph.volume(o.inputs[0])).items()
        if key != "num_batches_tracked"
    )


#: The sizes of the published files of weights, in bytes, with their header of 20.
@pytest.mark.parametrize(
    ("text", "size", "heads"),
    [
        (cfgs.yolov3(), 248_007_048, 3),
        (cfgs.yolov3_tiny(), 35_434_956, 2),
        (cfgs.yolov4_tiny(), 24_251_276, 2),
        (cfgs.yolov2(), 203_934_260, 1),
        (cfgs.yolov2_tiny(), 44_948_600, 1),
    ],
    ids=["yolov3", "yolov3-tiny", "yolov4-tiny", "yolov2", "yolov2-tiny"],
)
def test_published_weights(text: str, size: int, heads: int) -> None:
    source = read(text)
    assert len(source.graph.results) == heads
    assert abs(20 + 4 * numbers_in_file(source) - size) <= 4


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (cfgs.alexnet(), 62_378_344),
        (cfgs.vgg16(), 138_357_544),
        (cfgs.darknet53(), 41_609_928),
        (cfgs.darknet19(), 20_842_376),
    ],
    ids=["alexnet", "vgg-16", "darknet53", "darknet19"],
)
def test_published_parameters(text: str, count: int) -> None:
    assert parameters(read(text).graph) == count


@pytest.mark.parametrize(
    "text",
    [
        cfgs.yolov3(64),
        cfgs.yolov3_tiny(96),
        cfgs.yolov4_tiny(64),
        cfgs.yolov2(64),
        cfgs.darknet19(64),
        cfgs.extraction(64),
        cfgs.alexnet(67),
    ],
    ids=["yolov3", "yolov3-tiny", "yolov4-tiny", "yolov2", "darknet19", "extraction", "alexnet"],
)
def test_public_networks(text: str) -> None:
    assert_judged(read(cfgs.narrow(text)))


def test_heads_are_named_and_what_leads_to_none_is_left_out() -> None:
    graph = read(cfgs.yolov3_tiny()).graph
    assert [*graph.outputs] == ["head1", "head2"]
    volumes = [str(graph.operations[of].volume) for of in graph.results]
    assert volumes == ["13x13x255", "26x26x255"]
    dead = read(cfg(8, [conv(4, 3), conv(8, 3), route(0), conv(2, 1, act="linear")])).graph
    assert [o.volume.channels for o in dead.operations] == [4, 4, 4, 2, 2]
    assert dead.outputs == {}


def test_the_last_layer_is_a_result_beside_heads() -> None:
    graph = read(cfg(8, [conv(4, 1), cfgs.HEAD, route(0), conv(2, 1)])).graph
    assert [str(graph.operations[of].volume) for of in graph.results] == ["8x8x4", "8x8x2"]


EVERYTHING = [
    conv(8, 3, act="mish"),
    conv(8, 5, 2, act="swish"),
    section("convolutional", filters=8, size=3, padding=1, dilation=2, activation="relu6"),
    section("conv", filters=16, size=3, stride_x=2, stride_y=1, pad=1, groups=2, activation="elu"),
    section("upsample", stride=2),
    section("max", size=3, stride=1),
    route(-1, groups=4, group_id=2),
    conv(8, 1, act="hardtan"),
    conv(8, 1, act="tanh"),
    section("sam", from_="-2", activation="relie"),
    section("avg"),
    section("conv", filters=8, size=1, activation="logistic"),
    section("scale_channels", from_=-3, activation="linear"),
    section("shortcut", from_="-4,-5", activation="leaky"),
    section("reorg", stride=2),
    section("softmax", spatial=1),
    section("activation", activation="relu"),
    section("conn", output=12, batch_normalize=1),
    section("dropout"),
    conv(6, 1),
    section("connected", output=5, activation="linear"),
    section("soft"),
    section("cost"),
]


def test_every_section() -> None:
    source = read(cfg(17, EVERYTHING))
    assert_judged(source)
    assert str(source.graph.operations[-1].volume) == "5"


@pytest.mark.parametrize("size", [13, 14])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("padding", [None, 0, 1, 2])
def test_pools(size: int, stride: int, kernel: int, padding: int | None) -> None:
    """Each is Darknet's to the last number, or refused."""
    more = {} if padding is None else {"padding": padding}
    text = cfg(size, [section("maxpool", size=kernel, stride=stride, **more)])
    try:
        source = read(text)
    except NotInTheLanguage:
        assert padding is not None, "Darknet's own padding can always be said"
    else:
        assert_judged(source)


def test_pool_of_yolov3_tiny() -> None:
    (operation,) = read(cfg(13, [pool(2, 1)])).graph.operations
    assert operation.layer == MaxPool((2, 2), (1, 1), "same", dilation=(1, 1))
    assert str(operation.volume) == "13x13x3"


# ── Weights ──────────────────────────────────────────────────────────────────────────────────

SMALL = cfg(
    4,
    [
        conv(2, 1),
        conv(3, 1, bn=False, act="linear"),
        section("connected", output=2, batch_normalize=1, activation="linear"),
        section("connected", output=2, activation="linear"),
    ],
)
#: In the file's order: biases, scales, means, variances and weights of the first convolution, and
#: so on; what is connected has its weights before the last three.
COUNTS = [2, 2, 2, 2, 6, 3, 6, 2, 96, 2, 2, 2, 2, 4]


def weights_file(header: tuple[int, ...] = (0, 2, 0), seen: str = "<q", numbers: int = 0) -> bytes:
    count = sum(COUNTS) + numbers
    values = torch.arange(1, count + 1, dtype=torch.float32) / 100
    return struct.pack("<iii", *header) + struct.pack(seen, 7) + values.numpy().tobytes()


@pytest.mark.parametrize(
    ("header", "seen"), [((0, 2, 0), "<q"), ((0, 1, 0), "<i"), ((1, 0, 0), "<q")]
)
def test_order_of_weights(header: tuple[int, ...], seen: str) -> None:
    source = read(SMALL, weights_file(header, seen))
    assert source.is_trained
    ends = [sum(COUNTS[: i + 1]) for i, _ in enumerate(COUNTS)]
    starts = [(end - count) / 100 + 0.01 for end, count in zip(ends, COUNTS, strict=True)]
    first = [
        (0, "weight", 4),
        (1, "bias", 0),
        (1, "weight", 1),
        (1, "running_mean", 2),
        (1, "running_var", 3),
        (3, "bias", 5),
        (3, "weight", 6),
        (4, "weight", 8),
        (5, "bias", 7),
        (5, "weight", 9),
        (5, "running_mean", 10),
        (5, "running_var", 11),
        (6, "bias", 12),
        (6, "weight", 13),
    ]
    for of, key, place in first:
        assert source.state[of][key].flatten()[0].item() == pytest.approx(starts[place])
    assert_judged(source)


def test_weights_of_2014_are_transposed() -> None:
    new, old = read(SMALL, weights_file()), read(SMALL, weights_file((1993, 1, 0), "<i"))
    assert old.state[6]["weight"].equal(new.state[6]["weight"].t())
    assert old.state[0]["weight"].equal(new.state[0]["weight"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (weights_file(numbers=-1), "133 weights, and the file of weights 132"),
        (weights_file(numbers=2), "133 weights, and the file of weights 135"),
        (weights_file()[:-1], "132.75"),
        (b"abc", "ends within its header"),
        (weights_file()[:-4] + b"\0\0\xc0\x7f", "not finite"),
    ],
)
def test_weights_that_do_not_fit(data: bytes, message: str) -> None:
    with pytest.raises(WrongSource, match=message.replace(".", r"\.")):
        read(SMALL, data)


def test_random_weights_are_the_same_each_time() -> None:
    one, other = read(SMALL), read(SMALL)
    assert not one.is_trained
    assert one.state.keys() == other.state.keys() == {0, 1, 3, 4, 5, 6}
    for of in one.state:
        for key, value in one.state[of].items():
            assert value.equal(other.state[of][key])


# ── What is refused ──────────────────────────────────────────────────────────────────────────


def refusal(*parts: str) -> NotInTheLanguage:
    with pytest.raises(NotInTheLanguage) as caught:
        read(cfg(8, parts))
    return caught.value


def test_all_refusals_at_once() -> None:
    found = refusal(
        conv(4, 3, act="selu"),
        section("reorg3d", stride=2),
        section("convolutional", filters=4, size=3, xnor=1, angle=3),
        conv(4, 3),
        section("local", filters=3, activation="leaky"),
        section("shortcut", from_=0, alpha=0.5),
        section("upsample", stride=-2),
    )
    assert found.reasons == (
        "line 8, [convolutional]: the activation `selu` is not in the language",
        "line 16, [reorg3d]: there is no such layer in the language",
        "line 19, [convolutional]: `xnor=1` (line 22) is not in the language",
        "line 33, [local]: there is no such layer in the language",
        "line 37, [shortcut]: `alpha=0.5` (line 39) is not in the language",
        "line 41, [upsample]: an upsampling by less than 1 is not in the language",
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([conv(4, 1), conv(8, 1), section("shortcut", from_=0)], "branches of `add` differ"),
        ([conv(4, 1), cfgs.HEAD, conv(4, 1)], "it reads what `[yolo]` computes"),
        ([conv(4, 1), section("softmax")], "all positions at once"),
        ([conv(4, 1), section("softmax", temperature=2)], "`temperature=2`"),
        ([section("convolutional", size=3, dilation=2, filters=2)], "gives another size"),
    ],
)
def test_refusals(parts: list[str], message: str) -> None:
    assert message in str(refusal(*parts))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no sections"),
        ("# nothing\n; at all", "it has no sections"),
        (net(8), "a result is the input itself"),
        (net(8) + cfgs.HEAD, "a result is the input itself"),
        (conv(4, 1), r"line 1, \[convolutional\]: the first section has to be `\[net\]`"),
        ("filters=3\n" + net(8), "line 1: `filters` stands before the first section"),
        ("[net]\nwidth=8\nheight=8\n[avgpool]", r"line 1, \[net\]: `channels=` is missing"),
        (net(0) + conv(1, 1), "line 4: `height` is at least 1, not 0"),
        (cfg(8, [conv(4, 1), "filters"]), "line 16: `filters` is no `key=value`"),
        (cfg(8, ["[conv", conv(4, 1)]), r"line 8: `\[conv` is no section"),
        (cfg(8, [section("conv", filters="many")]), "line 9: `filters` is a whole number"),
        (cfg(8, [section("conv", filters="9" * 5000)]), "line 9: `filters` is a whole number"),
        (cfg(8, [section("conv", filters=2**40)]), "`filters` is at most 2147483647"),
        (cfg(8, [section("conv", filters=2**31 - 1)]), "more than archdsl reads"),
        (cfg(8, [conv(4, 1), section("upsample", stride=2**20)]), "more than archdsl reads"),
        (cfg(8, [conv(4, 1), route(5)]), "line 17: `layers=5` is no earlier layer"),
        (cfg(8, [conv(4, 1), route(-3)]), "line 17: `layers=-3` is no earlier layer"),
        (cfg(8, [conv(4, 1), section("route")]), r"\[route\]: `layers=` is missing"),
        (cfg(8, [section("dropout", probability=1)]), "`probability` is at least 0 and below 1"),
        (cfg(8, [section("dropout", probability="nan")]), "`probability` is a number, not `nan`"),
        (cfg(8, [section("reorg", stride=3)]), "a stride of 3 does not divide 8x8x3"),
        ("\0\1garbage" * 1_000_000, "line 1: `��garbage"),
        ("x\n" * 1_000_000, "line 10: `x` is no `key=value`; and more"),
        ("[" * 1_000_000, "is no section"),
    ],
)
def test_wrong_configurations(text: str, message: str) -> None:
    with pytest.raises(WrongSource, match=message) as caught:
        read(text)
    assert len(str(caught.value)) < 2000


def test_faults_of_text_come_before_refusals() -> None:
    with pytest.raises(WrongSource, match=r"line 13: `size` is a whole number, not `x`$"):
        read(cfg(8, [section("local"), conv(4, 1, act="selu").replace("size=1", "size=x")]))


def test_too_many_layers() -> None:
    with pytest.raises(WrongSource, match="more than 20,000 layers"):
        read(cfg(8, [section("dropout")] * 20_001))
