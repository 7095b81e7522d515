"""Weights of Caffe: which layers share theirs by name, and what is read of their files."""

from __future__ import annotations

import contextlib

import prototxts
import pytest
import torch
from prototxts import Net
from sources import assert_judged
from torch import Tensor

from archdsl.importing.errors import NotInTheLanguage, WrongSource
from archdsl.importing.from_caffe.file import read_caffe
from archdsl.importing.importer import import_file


def _twins(more: str = 'param { name: "w" } param { name: "b" }', stride: int = 1) -> str:
    """Two images through convolutions that share their weights by name."""
    first = 'param { name: "w" } param { name: "b" }'
    text = 'input: "a" input_dim: [1, 3, 8, 8] input: "z" input_dim: [1, 3, 8, 8]'
    for name, bottom, top, params in (("one", "a", "c", first), ("two", "z", "d", more)):
        text += f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top}" '
        text += f"{params} convolution_param {{ num_output: 4 kernel_size: 3 "
        text += f"stride: {stride if name == 'two' else 1} }} }}"
        text += f'layer {{ name: "{name}_relu" type: "ReLU" bottom: "{top}" top: "{top}" }}'
    text += 'layer { name: "cat" type: "Concat" bottom: "c" bottom: "d" top: "e" }'
    text += 'layer { name: "fc" type: "InnerProduct" bottom: "e" top: "f" '
    return text + "inner_product_param { num_output: 2 } }"


def test_layers_that_share_weights_by_name() -> None:
    source = read_caffe(_twins(), "Net", None)
    made = import_file(source, "net.prototxt")
    assert "reuse one" in made.text
    assert made.model.trunk.parameters == 3 * 4 * 9 + 4 + 8 * 36 * 2 + 2
    (first, *_) = [o.id for o in source.graph.operations if o.state]
    assert [*source.state] == [first, source.graph.operations[-1].id]


@pytest.mark.parametrize(
    ("more", "stride"),
    [
        ('param { name: "w" }', 1),  # and a bias of its own
        ('param { name: "w" } param { name: "b2" }', 1),
        ('param { name: "w" } param { name: "b" }', 2),
    ],
)
def test_layers_that_share_some_weights_are_refused(more: str, stride: int) -> None:
    with pytest.raises(NotInTheLanguage, match="the weights `w` of an earlier layer are not"):
        read_caffe(_twins(more, stride), "Net", None)


# ── Files ────────────────────────────────────────────────────────────────────────────────────


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def delimited(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def blob(values: Tensor) -> bytes:
    shape = delimited(7, delimited(1, b"".join(map(varint, values.shape))))
    return shape + delimited(5, values.numpy().tobytes())


def model(layers: dict[str, list[Tensor]], field: int = 100) -> bytes:
    """A file as Caffe writes it; before 2014 with other numbers of fields."""
    name, blobs = {100: (1, 7), 2: (4, 6)}[field]
    parts = [delimited(1, b"net")]
    for layer, values in layers.items():
        own = [delimited(blobs, blob(value)) for value in values]
        parts.append(delimited(field, delimited(name, layer.encode()) + b"".join(own)))
    return b"".join(parts)


def weighted() -> tuple[str, dict[str, list[Tensor]]]:
    net = Net(6, 6)
    net.conv("conv", 4, 3)
    net.bn("conv")
    net.over("PReLU", "slopes")
    net.fc("fc1", 5)
    given = {"num_output": 3, "transpose": True, "bias_term": False}
    net.add("InnerProduct", "fc2", inner_product_param=given)
    torch.manual_seed(0)
    sizes = {"conv": [(4, 3, 3, 3), (1, 1, 1, 4)], "conv/bn": [(4,), (4,), (1,)]}
    sizes |= {"conv/scale": [(4,), (4,)], "slopes": [(4,)], "fc1": [(5, 64), (5,)], "fc2": [(5, 3)]}
    layers = {name: [torch.rand(size) for size in own] for name, own in sizes.items()}
    return net.text, layers | {"loss": []}


@pytest.mark.parametrize("field", [100, 2], ids=["now", "before 2014"])
def test_weights(field: int) -> None:
    text, layers = weighted()
    source = read_caffe(text, "Net", model(layers, field))
    assert source.is_trained
    named = {o.path: source.state[o.id] for o in source.graph.operations if o.state}
    mean, variance, count = layers["conv/bn"]
    assert named["conv.conv"]["weight"].equal(layers["conv"][0])
    assert named["conv.conv"]["bias"].equal(layers["conv"][1].flatten())
    torch.testing.assert_close(named["conv.bn"]["running_mean"], mean / count)
    torch.testing.assert_close(named["conv.bn"]["running_var"], variance / count)
    assert named["conv.bn"]["weight"].equal(layers["conv/scale"][0])
    assert named["fc2"]["weight"].equal(layers["fc2"][0].t())
    assert_judged(source)


def test_weights_that_layers_share() -> None:
    """Each of them is in the file, with the same numbers."""
    torch.manual_seed(0)
    conv = [torch.rand(4, 3, 3, 3), torch.rand(4)]
    layers = {"one": conv, "two": conv, "fc": [torch.rand(2, 288), torch.rand(2)]}
    made = import_file(read_caffe(_twins(), "Net", model(layers)), "net.prototxt")
    assert "with its own weights" in made.text
    assert [*made.state] == ["one.weight", "one.bias", "fc.weight", "fc.bias"]
    assert made.state["one.weight"].equal(conv[0])


def test_weights_of_other_layers_are_left() -> None:
    text, layers = weighted()
    source = read_caffe(text, "Net", model(layers | {"head": [torch.rand(7)]}))
    assert len(source.state) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv": []}, "the file of weights has no layer `conv`"),
        ({"conv": [torch.rand(4, 3, 3, 3)]}, "`conv` has no bias"),
        ({"fc1": [torch.rand(5, 65), torch.rand(5)]}, "`fc1` has 325 numbers as its weight"),
        ({"conv/bn": [torch.rand(4)]}, "`conv/bn` has not three blobs"),
        ({"slopes": [torch.full((4,), torch.nan)]}, "numbers that are not finite"),
    ],
)
def test_weights_that_do_not_fit(changes: dict[str, list[Tensor]], message: str) -> None:
    text, layers = weighted()
    with pytest.raises(WrongSource, match=message):
        read_caffe(text, "Net", model(layers | changes))


def test_broken_files_of_weights() -> None:
    """Whatever is cut off or put in, there is one clear error, or what is left is whole."""
    text, layers = weighted()
    whole = model(layers)
    generator = torch.Generator().manual_seed(0)
    for data in (b"", b"\xff" * 100, b"\0" * 100, whole[:100], whole[:-1], varint(2**60) * 9):
        with pytest.raises(WrongSource, match="the file of weights"):
            read_caffe(text, "Net", data)
    for _ in range(200):
        at, value = (int(torch.randint(n, (1,), generator=generator)) for n in (len(whole), 256))
        with contextlib.suppress(WrongSource):
            read_caffe(text, "Net", whole[:at] + bytes([value]) + whole[at + 1 :])


def test_random_weights_differ_by_layer() -> None:
    state = read_caffe(prototxts.lenet(), "Net", None).state
    assert [*state] == [0, 2, 4, 6]
    assert state[0]["weight"].shape == (20, 1, 5, 5)
    assert not torch.equal(state[4]["weight"][:10, :10], state[6]["weight"][:, :10])
