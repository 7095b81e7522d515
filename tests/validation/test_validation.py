"""The validator of modules: it takes what is right, in any style, and refuses what is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import networkx
import pytest
import torch
from command import Result
from conftest import ROOT, sample
from module_faults import FAULTS, LOADING_FAULTS
from oracle import judge, run_source
from structures import FOR_INFERENCE, STRUCTURES

import archdsl
from archdsl import compilation
from archdsl.codegen import entry_name, entry_names, render_deployments, render_module
from archdsl.deployment import deploy
from archdsl.layers import REGISTRY, Call, Example
from archdsl.layers.activation import ELU
from archdsl.layers.call import OptionalArgument
from archdsl.layers.call import call as call_of
from archdsl.model import Model
from archdsl.validation import InvalidModuleError, expected_graphs, recorded_graphs, validate

SPECS = sorted((ROOT / "specs").rglob("*.arch"))
HERE = Path(__file__).parent / "validated"
NET = (HERE / "net.py").read_text("utf-8")
DEPLOYED = (HERE / "deployed.py").read_text("utf-8")


def models_of(name: str) -> dict[str, Model]:
    return {model.name: model for model in archdsl.load_all(HERE / name)}


def by_class(models: tuple[Model, ...]) -> dict[str, Model]:
    return dict(zip(entry_names(models), models, strict=True))


# ── What is right ────────────────────────────────────────────────────────────────────────────


# That of every spec is valid, too, `archdsl check --prove specs` shows: it compiles both.

ALL_STRUCTURES = STRUCTURES | FOR_INFERENCE


@pytest.mark.parametrize("text", ALL_STRUCTURES.values(), ids=ALL_STRUCTURES)
def test_every_structure_is_valid(text: str) -> None:
    model = archdsl.parse(text, input="8x8x4")
    name = entry_name(model)
    validate(render_module([model]), {name: model})
    deployment = deploy(model)
    validate(render_deployments([deployment]), {name: deployment})


EXAMPLES = [example for layer in REGISTRY.values() for example in layer.examples]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.text)
def test_every_example_of_a_layer_is_valid(example: Example) -> None:
    input = "x".join(map(str, example.input))
    for init in ("", "; init he", "; init normal 0.1 bias 2"):
        model = archdsl.parse(example.text + init, input=input)
        validate(render_module([model]), by_class((model,)))


def test_modules_by_hand_are_valid() -> None:
    """The style does not matter: conditions, lists, functions, typed outputs."""
    models = models_of("net.arch")
    validate(NET, models)
    deployment = deploy(archdsl.load(HERE / "deployed.arch"))
    validate(DEPLOYED, {"Deployed": deployment})


@pytest.mark.parametrize("name", ["Net", "Small"])
def test_modules_by_hand_are_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch says so: or the faults below would be faults of what is wrong already."""
    compile = archdsl.compile
    by_hand = {False: lambda model: NET, True: lambda model: compile(model, inference=True)}
    monkeypatch.setattr(archdsl, "compile", lambda model, inference: by_hand[inference](model))
    model = models_of("net.arch")[name]
    network = run_source(NET).__dict__[name]()
    if name == "Small":
        judge(model)
    x = torch.randn(2, *model.input.torch_sizes)
    outputs = network.train()(x)
    assert isinstance(outputs, tuple) == (name == "Net")
    own = run_source(render_module([model])).__dict__[name]()
    own.load_state_dict(network.state_dict())
    assert list(own.state_dict()) == list(network.state_dict())
    found = network.eval()(x)
    torch.testing.assert_close(found[0] if name == "Net" else found, own.eval()(x))


# ── Faults ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused(fault: str) -> None:
    old, new = FAULTS[fault]
    wrong = NET.replace(old, new)
    assert wrong != NET, "the fault is nowhere"
    with pytest.raises(InvalidModuleError) as found:
        validate(wrong, models_of("net.arch"))
    line = found.value.place
    assert line is not None or fault in ("a network that is not exported", "a network forgotten")


@pytest.mark.parametrize("fault", LOADING_FAULTS)
def test_a_fault_for_inference_is_refused(fault: str) -> None:
    old, new = LOADING_FAULTS[fault]
    wrong = DEPLOYED.replace(old, new)
    assert wrong != DEPLOYED, "the fault is nowhere"
    with pytest.raises(InvalidModuleError):
        validate(wrong, {"Deployed": deploy(archdsl.load(HERE / "deployed.arch"))})


def test_the_message_names_both_places() -> None:
    wrong = NET.replace(
        "nn.AvgPool2d(3, stride=1, padding=1)", "nn.AvgPool2d(3, stride=2, padding=1)"
    )
    with pytest.raises(InvalidModuleError) as found:
        validate(wrong, models_of("net.arch"))
    number = wrong[: wrong.index("self.c = nn.Avg")].count("\n") + 1
    spec = (HERE / "net.arch").as_posix()
    assert str(found.value) == (
        "the module of Net is not what its spec says: `c` has stride=2; by the spec stride=1 (line "
        f"{number} of the module: `self.c = nn.AvgPool2d(3, stride=2, padding=1)`; {spec}:18: "
        "`avgpool 3 s1 p1`)"
    )
    wrong = NET.replace("x = self.cut(x)", "x = self.cut(skip)")
    with pytest.raises(
        InvalidModuleError, match=r"`cut` reads `skip\.out`; by the spec `mul` \(line \d+"
    ):
        validate(wrong, models_of("net.arch"))


# ── The same graph ───────────────────────────────────────────────────────────────────────────


def graphs_agree(source: str, models: dict[str, Model]) -> bool:
    found, wanted = recorded_graphs(source, models), expected_graphs(source, models)
    return all(
        networkx.utils.graphs_equal(found[name][mode], wanted[name][mode])
        for name in models
        for mode in (True, False)
    )


@pytest.mark.parametrize("path", SPECS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_the_graph_of_a_module_is_that_of_its_model(path: Path) -> None:
    models = sample(path)
    source = render_module(models)
    assert graphs_agree(source, by_class(models))
    for name, model in by_class(models).items():
        graph = expected_graphs(source, {name: model})[name][True]
        # Each layer is a node; a flattening is one more.
        assert sum(times or 0 for _, times in graph.nodes(data="times")) >= len(model.layers)


@pytest.mark.parametrize("text", ALL_STRUCTURES.values(), ids=ALL_STRUCTURES)
def test_the_graph_of_a_structure_is_that_of_its_model(text: str) -> None:
    model = archdsl.parse(text, input="8x8x4")
    assert graphs_agree(render_module([model]), by_class((model,)))
    deployed = deploy(model)
    source = render_deployments([deployed])
    assert graphs_agree(source, by_class((deployed.model,)))


def test_graphs_differ_where_the_flow_does() -> None:
    """The order of inputs is in the graph, and how often a layer is applied."""
    models = models_of("net.arch")
    assert graphs_agree(NET, models)
    for fault in (
        "two inputs of a concat swapped",
        "branches swapped",
        "a skip dropped",
        "the operands of a sum swapped",
        "a head in evaluation",
        "a layer applied twice",
        "another stride",
        "a concat of rows",
    ):
        assert not graphs_agree(NET.replace(*FAULTS[fault]), models), fault


def test_torch_is_not_imported() -> None:
    script = (
        "import sys, archdsl\n"
        "from archdsl.validation import validate\n"
        f"archdsl.compile(*archdsl.load_all({str(ROOT / 'specs' / 'googlenet.arch')!r}))\n"
        "assert 'archdsl.validation' in sys.modules\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "False\n"


def test_a_module_is_left_as_it_was() -> None:
    """Validations do not hear of one another."""
    models = models_of("net.arch")
    for _ in range(2):
        validate(NET, models)
        with pytest.raises(InvalidModuleError):
            validate(NET.replace("range(3)", "range(2)"), models)


# ── Where modules come from ──────────────────────────────────────────────────────────────────

SPEC = "network Good: 8x8x3 → 10 { conv 3x3 4 relu; fc 10 }\n"
WRONG_COMMANDS = {
    "compile": ("compile", "good.arch"),
    "compile to the terminal": ("compile", "good.arch", "-o", "-"),
    "a check of freshness": ("compile", "good.arch", "--check"),
    "compile for inference": ("compile", "good.arch", "--inference"),
    "a proof": ("check", "good.arch", "--prove"),
    "an export": ("export", "good.arch", "--onnx"),
    "a training": ("train", "good.arch", "--data", "fake", "--epochs", "1"),
}


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emission that forgets the padding of ReLU's neighbour: a kernel of 1 in place of 3."""

    def broken(render: Callable[..., str]) -> Callable[..., str]:
        return lambda *args: render(*args).replace("nn.Conv2d(3, 4, 3)", "nn.Conv2d(3, 4, 1)")

    for name in ("render_module", "render_deployments"):
        monkeypatch.setattr(compilation, name, broken(getattr(compilation, name)))


@pytest.mark.usefixtures("wrong")
@pytest.mark.parametrize("command", WRONG_COMMANDS.values(), ids=WRONG_COMMANDS)
def test_what_is_wrong_is_not_written(
    command: tuple[str, ...], here: Path, call: Callable[..., Result]
) -> None:
    Path("good.arch").write_text(SPEC, "utf-8")
    result = call(*command)
    assert result.code == 70
    assert result.out == ""
    first, second = result.err.splitlines()
    assert first.startswith(
        "internal error: the module of Good is not what its spec says: `0` has kernel_size=1; by "
        "the spec kernel_size=3 (line "
    )
    assert first.endswith("; good.arch:1: `conv 3x3 4`)")
    assert second == (
        "Nothing was written. This is a bug in archdsl, not a fault of the spec: please report "
        "it, with the spec."
    )
    assert [path.name for path in here.iterdir()] == ["good.arch"]


@pytest.mark.usefixtures("wrong")
def test_the_python_interface_refuses_it_too() -> None:
    model = archdsl.parse(SPEC)
    for inference in (False, True):
        with pytest.raises(InvalidModuleError, match="kernel_size=1"):
            archdsl.compile(model, inference=inference)


def test_weights_of_heads_keep_their_digits() -> None:
    """`:g` cut them to six; the validator would not have it."""
    text = "conv 1x1 3; aux(0.12345678) { gap; fc 3 }; aux(1) { fc 3 }; fc 3"
    source = archdsl.compile(archdsl.parse(text, input="8x8x4"))
    assert "aux_weights = (0.12345678, 1)\n" in source


@pytest.mark.usefixtures("wrong")
def test_a_template_is_not_blamed_for_a_mistake_of_ours(here: Path) -> None:
    Path("house").mkdir()
    Path("house/module.py.jinja").write_text('{% extends "packaged/module.py.jinja" %}', "utf-8")
    with pytest.raises(InvalidModuleError, match="kernel_size=1"):
        archdsl.compile(archdsl.parse(SPEC), template="house")


def test_two_networks_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them would be lost, and no other network would lack it."""
    models = archdsl.load_all(HERE / "net.arch")
    monkeypatch.setattr(compilation, "entry_names", lambda models: ["Net"] * len(models))
    with pytest.raises(InvalidModuleError, match="two networks have this name"):
        archdsl.compile(*models)


def test_templates_may_import_what_they_like(here: Path) -> None:
    """What is not of the networks is let be: it is not run."""
    Path("house").mkdir()
    Path("house/module.py.jinja").write_text(
        '{% extends "packaged/module.py.jinja" %}{% block imports %}import logging\n'
        "from os import path\n{{ super() }}{% endblock %}{% block footer %}\n\n"
        "logger = logging.getLogger(__name__)\nlogger.info(path.join('a', 'b'))\n{% endblock %}",
        "utf-8",
    )
    source = archdsl.compile(archdsl.parse(SPEC), template="house")
    assert "import logging" in source


def test_a_layer_that_no_table_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A definition says how it is called: that is enough."""

    def emit(alpha: float) -> Callable[..., Call]:
        return lambda self, x: call_of("nn.CELU", 2, alpha=OptionalArgument(alpha, 1.0))

    for alpha in (1.0, 0.5):
        monkeypatch.setattr(ELU, "emit", emit(alpha))
        model = archdsl.parse("conv 1x1 2; elu; elu", input="4x4x1")
        source = archdsl.compile(model)
        wanted = {"Text": model}
        written = f"nn.CELU(2, alpha={alpha})" if alpha != 1 else "nn.CELU(2)"
        assert written in source
        validate(source.replace(written, f"nn.CELU(2, alpha={alpha})"), wanted)
        for wrong in ("nn.CELU(2, alpha=0.7)", "nn.CELU(2, beta=1)", "nn.CELU()", "nn.ELU(2)"):
            with pytest.raises(InvalidModuleError):
                validate(source.replace(written, wrong, 1), wanted)
