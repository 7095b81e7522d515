"""Networks written from Python."""

from __future__ import annotations

import pytest

import archdsl


def lenet() -> archdsl.Network:
    net = archdsl.Network("LeNet", (32, 32, 1), 10)
    net.conv("5x5", 6).tanh().avgpool(2, s=2).gives("14x14x6")
    net.conv((5, 5), 16).tanh().avgpool(2, s=2)
    for units in (120, 84):
        net.fc(units).tanh()
    net.fc(10)
    net.expect("params = 61_706")
    return net


def test_text_is_a_spec_in_the_one_style() -> None:
    assert str(lenet()) == (
        "network LeNet: 32x32x1 → 10 {\n"
        "  conv 5x5 6 tanh avgpool 2 s2    → 14x14x6\n"
        "  conv 5x5 16 tanh avgpool 2 s2\n"
        "  fc 120 tanh\n"
        "  fc 84 tanh\n"
        "  fc 10\n"
        "  expect params = 61_706\n"
        "}\n"
    )
    assert archdsl.format(str(lenet())) == str(lenet())


def test_means_what_the_text_means() -> None:
    model = lenet().model()
    plain = archdsl.parse(str(lenet()))
    assert [n.layer for n in model.nodes] == [n.layer for n in plain.nodes]
    assert archdsl.compile(model) == archdsl.compile(plain).replace("<text>", "<LeNet>")


def test_branches_groups_heads_and_blocks() -> None:
    net = archdsl.Network("Net", "32x32x3", 10, definitions="block cell(n) { conv 1x1 n; relu }")
    net.part("stem").conv("3x3", 16, "same", "nobias", s=2).bn()
    net.add(lambda b: b.conv("3x3", 16, "same").bn(), lambda b: b.id()).relu()
    net.group("layer1", lambda g: [g.basic(32, s=2), g.basic(32).times(2)])
    net.aux(0.3, lambda h: [h.gap(), h.fc(10)], name="aux1")
    net.cell(8)
    net.line("if C == 8 { leakyrelu 0.1 }")
    net.gap()
    net.fc(10)
    model = net.model()
    assert model.names[1] == "stem.0"
    assert "layer1: {" in str(net)
    assert "×2" in str(net)
    archdsl.compile(model)


def test_faults_are_those_of_the_text() -> None:
    net = archdsl.Network("Net", "8x8x3", 10)
    net.conv("3x3", 16, "smae")
    with pytest.raises(archdsl.ArchError, match="smae"):
        net.model()
    with pytest.raises(TypeError, match="function that writes it"):
        net.add("conv 3x3", "id")
    with pytest.raises(TypeError, match="nothing that a spec can hold"):
        net.conv(object())
