"""What is taken down of each layer, which parts are shown, and in which colours."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from looks import train, trained, write_image

import archdsl
from archdsl.looking.activations import record_activations
from archdsl.looking.colours import STEPS, colour_map, colours_of, hex_of
from archdsl.looking.errors import LookingError
from archdsl.looking.pipeline import strongest
from archdsl.looking.specimen import open_specimen
from archdsl.looking.stages import MOST_STAGES, choose_stages, find_stage

pytestmark = pytest.mark.filterwarnings("ignore")


def test_results_are_those_of_a_forward_hook() -> None:
    specimen, image = trained().specimen, trained().image
    seen: dict[str, torch.Tensor] = {}
    handles = [
        module.register_forward_hook(lambda _m, _i, y, name=name: seen.__setitem__(name, y))
        for name, module in specimen.network.named_modules()
    ]
    with torch.inference_mode():
        output = specimen.network(image[None])
    for handle in handles:
        handle.remove()
    found = record_activations(specimen, image)
    compared = 0
    for node in specimen.model.layers:
        if node.head is not None:
            assert node.id not in found.values
            continue
        name = specimen.model.names[node.id]
        value = found.values[node.id]
        assert value.shape == node.volume.torch_sizes
        if name in seen:
            assert torch.equal(value, seen[name][0]), name
            compared += 1
    assert compared == 15
    # A block's own module ends in its merge, which is no module itself.
    assert torch.equal(found.values[find_stage(specimen.model, "mix").node], seen["mix"][0])
    assert torch.equal(found.values[specimen.answer.id], output[0])
    assert torch.allclose(found.answer, output[0].softmax(0))


def test_looking_changes_nothing() -> None:
    network = trained().specimen.network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    record_activations(trained().specimen, trained().image)
    assert not network.training
    assert all(not module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_part_that_runs_twice_has_two_results(tmp_path: Path) -> None:
    spec = (
        "network Twice: 16x16x1 → 3 { a: conv 3x3 4 same; step: { conv 3x3 4 same tanh }\n"
        "reuse step; fc 3 }"
    )
    specimen = open_specimen(train(spec, tmp_path))
    image = specimen.finished.prepare(write_image(tmp_path / "x.png"))
    values = record_activations(specimen, image).values
    step = specimen.network.get_submodule("step")
    first = values[find_stage(specimen.model, "step").node]
    again = specimen.model.nodes[specimen.answer.inputs[0]]
    assert any(node.shares is not None for node in specimen.model.layers)
    with torch.inference_mode():
        assert torch.allclose(values[again.id], step(first[None])[0], atol=1e-6)
    assert not torch.equal(values[again.id], first)


# ── Stages ───────────────────────────────────────────────────────────────────────────────────


def test_lenet_is_the_pipeline_of_the_lecture() -> None:
    stages = choose_stages(archdsl.load(ROOT / "specs" / "lenet5.arch"))
    assert [stage.statement for stage in stages] == [
        "conv 5x5 6",
        "tanh",
        "avgpool 2x2 s2",
        "conv 5x5 16",
        "tanh",
        "avgpool 2x2 s2",
        "conv 5x5 120",
        "tanh",
        "fc 84",
        "tanh",
        "fc 10",
    ]
    assert [stage.name for stage in stages[:3]] == ["C1.0", "C1.1", "S2"]
    assert all(after.sources == (before.node,) for before, after in pairwise(stages))


@pytest.mark.parametrize(
    ("spec", "names", "statement"),
    [
        ("googlenet.arch", "conv1 pool1 norm1 conv2.0 conv2.2", "conv 7x7 64 s2 p3 relu"),
        ("vgg16.arch", "features.0 features.2 features.4", "conv 3x3 64 same relu"),
        ("zoo/unet.arch", "enc1 pool1 enc2 pool2 enc3", "double(64)"),
        ("torchvision/resnet.arch", "conv1 pool1 layer1.0", "conv 7x7 64 s2 p3 nobias bn relu"),
    ],
)
def test_large_networks_are_shown_by_their_parts(spec: str, names: str, statement: str) -> None:
    model = archdsl.load_all(ROOT / "specs" / spec)[0]
    stages = choose_stages(model)
    assert len(stages) <= MOST_STAGES
    assert [stage.name for stage in stages[: len(names.split())]] == names.split()
    assert stages[0].statement == statement
    assert model.nodes[stages[-1].node].volume == model.output
    for stage in stages:
        assert stage.volume == model.nodes[stage.node].volume


def test_what_changes_no_number_is_no_stage() -> None:
    text = (
        "network N: 8x8x3 → 2 { conv 4x4 6 s4; tokens; clstoken; posembed; ln; dropout 0.5\n"
        "add { id | id }; token 0; fc 2 }"
    )
    shown = [stage.statement for stage in choose_stages(archdsl.parse(text))]
    assert shown == ["conv 4x4 6 s4", "clstoken", "posembed 0.02", "ln", "add", "token 0", "fc 2"]


def test_a_merge_names_what_it_reads() -> None:
    stages = choose_stages(archdsl.load(ROOT / "specs" / "zoo" / "unet.arch"))
    by_node = {stage.node: stage.name for stage in stages}
    merges = [
        [by_node[source] for source in stage.sources] for stage in stages if len(stage.sources) > 1
    ]
    assert merges == [["enc4", "up4"], ["enc3", "up3"], ["enc2", "up2"], ["enc1", "up1"]]


def test_parts_are_found_by_the_names_of_the_table() -> None:
    model = trained().specimen.model
    assert find_stage(model, "mix").statement == "twin(3, 4)"
    assert find_stage(model, "tail").volume.sizes == (4, 5, 5)
    assert find_stage(model, "tail.0").statement == "conv 3x3 5 same"
    with pytest.raises(LookingError, match="Look has no part `mixx`: did you mean `mix`"):
        find_stage(model, "mixx")


# ── Colours and the largest ──────────────────────────────────────────────────────────────────


def test_the_largest_activations_come_first() -> None:
    values = torch.tensor([[[0.0, 1.0]], [[3.0, -9.0]], [[2.0, 2.0]]])
    assert strongest(values, 3) == [1, 2, 0]
    assert strongest(values, 2) == [1, 2]


def _oklab(colours: torch.Tensor) -> torch.Tensor:
    """Ottosson's way from bytes of sRGB, written once more."""
    value = colours.double() / 255
    linear = torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    lms = linear @ torch.tensor(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ],
        dtype=torch.float64,
    )
    return lms.pow(1 / 3) @ torch.tensor(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ],
        dtype=torch.float64,
    )


def test_equal_steps_look_equal() -> None:
    """In Oklab the two halves are straight and even, and equally dark at the same distance."""
    colours = _oklab(colour_map())
    for half in (colours[: STEPS + 1], colours[STEPS:]):
        steps = (half[15::15] - half[:-15:15]).norm(dim=1)
        assert steps.max() < 1.15 * steps.min()
    lightness = colours[:, 0]
    assert torch.allclose(lightness, lightness.flip(0), atol=0.01)
    assert (lightness[STEPS::5].diff() < 0).all()


def test_the_sign_can_be_read() -> None:
    below, zero, above = colours_of(torch.tensor([-2.0, 0.0, 5.0]), 2.0).tolist()
    assert below[2] > 2 * below[0]
    assert above[0] > 2 * above[2]
    assert len(set(zero)) == 1
    assert zero[0] > 240
    assert hex_of(0) == "#f7f7f7"
    # Nothing but zeros is not divided by zero.
    assert colours_of(torch.zeros(2), 0.0).tolist() == [zero, zero]
