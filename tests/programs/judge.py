"""The judge of a file: its module against the graph of each network, and that against the meaning.

All of a file's networks are in one module, executed as the file that it is.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn

import archdsl
from archdsl.codegen import entry_names
from archdsl.frontend import read_models
from archdsl.layers import Initializer, WeightLayer
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.network.parts import AuxPart, walk
from archdsl.text.diagnostics import ArchError
from archdsl.text.source import Source
from archdsl.torch_tools.interpret import in_double, unfilled
from archdsl.torch_tools.numbers import Comparison, NumericMismatch
from programs.meaning import Meaning

#: Of the image: what is multiplied by itself again and again needs a small one to stay finite.
_SCALES = (1.0, 0.1, 0.01, 0.0001)


#: The kind of a file whose numbers are not finite however small its images: nothing is compared.
NOT_FINITE = "what is not finite is compared with nothing"


class Mismatch(Exception):
    """Two things that should be equal are not. ``kind`` is the same for the same fault."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


@dataclass(frozen=True)
class Failure:
    """What is wrong with a file: a kind to compare by, and the words of it."""

    kind: str
    detail: str


def network_builder(
    module: ModuleType, model: Model, models: Sequence[Model] = ()
) -> Callable[[], nn.Module]:
    """What builds a model's network in the module of its file: the one place that knows."""
    of_file = [*models] or [model]
    name = entry_names(of_file)[of_file.index(model)]
    found: Callable[[], nn.Module] = getattr(module, name)
    return found


def judge(
    text: str, meanings: list[Meaning] | None = None, input: Volume | None = None, seed: int = 0
) -> Failure | None:
    """What is wrong with what the compiler makes of a text, or None.

    ``meanings`` are what the networks should be, where that is known; ``input`` is for bare
    statements.
    """
    stage = "parse"
    try:
        models = read_models(Source(text, "programs.arch"), input)
        if meanings is not None:
            stage = "elaborate"
            _compare_meanings(models, meanings)
        stage = "compile"
        source = archdsl.compile(*models)
        with in_double(), _imported(source, "generated") as module:
            stage = "import"
            module.load()
            networks = []
            for model in models:
                stage = "run"
                networks.append(_judge_network(model, network_builder(module, model, models), seed))
            stage = "compile for inference"
            source = archdsl.compile(*models, inference=True)
            with _imported(source, "deployed") as deployed:
                stage = "import for inference"
                deployed.load()
                stage = "run for inference"
                for model, network in zip(models, networks, strict=True):
                    built = network_builder(deployed, model, models)()
                    _refuse(model, network.inference_differences(built))
    except Mismatch as fault:
        return Failure(f"{stage}: {fault.kind}", str(fault))
    except ArchError as error:
        first = error.diagnostics[0]
        return Failure(f"{stage}: ArchError {first.code}", f"{first.message} {first.span}")
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        message = " ".join(str(error).split())[:300]
        place = f" in {last.name}" if stage.startswith(("parse", "elaborate", "compile")) else ""
        return Failure(f"{stage}: {type(error).__name__}{place}", message)
    return None


class _Module(ModuleType):
    """A module from its text, which is executed when it is asked for."""

    text: str

    def load(self) -> None:
        # Without the future statements of this file, which would hide a hint that is not a name.
        code = compile(self.text, f"<{self.__name__}>", "exec", dont_inherit=True)
        exec(code, self.__dict__)


@contextmanager
def _imported(text: str, name: str) -> Iterator[_Module]:
    module = _Module(name)
    module.text = text
    sys.modules[name] = module
    try:
        yield module
    finally:
        del sys.modules[name]


# ── Elaboration ──────────────────────────────────────────────────────────────────────────────


def _compare_meanings(models: tuple[Model, ...], meanings: list[Meaning]) -> None:
    """The nodes of each network are those of the second elaboration, but for ``id``."""
    names = [model.name for model in models]
    _equal("networks", names, [meaning.name for meaning in meanings])
    for model, meaning in zip(models, meanings, strict=True):
        inputs = [node.volume for node in meaning.machine.nodes if node.word == "input"]
        _equal("inputs", [node.volume.sizes for node in model.inputs], inputs, model.name)
        place = {id: id for id in range(len(inputs))}
        ours = iter(enumerate(meaning.machine.nodes[len(inputs) :], len(inputs)))
        for node in model.layers:
            if node.layer.name == "id":
                place[node.id] = place[node.inputs[0]]
                continue
            id, expected = next(ours, (0, None))
            if expected is None:
                raise Mismatch("a layer too many", f"{model.name}: {node.layer}")
            place[node.id] = id
            where = f"{model.name}, layer {node.id}, {node.layer}"
            inputs = tuple(place[i] for i in node.inputs)
            _equal("layer", (node.layer.name, inputs), (expected.word, expected.inputs), where)
            _equal("volume", node.volume.sizes, expected.volume, where)
            _equal("head", node.head, expected.head, where)
            shares = None if node.shares is None else place[node.shares]
            _equal("shares", shares, expected.shares, where)
            for key, value in expected.args.items():
                found, given = getattr(node.layer, key), value
                if isinstance(found, Initializer):
                    found, given = _said(found), str(value)
                _equal(key, (type(found), found), (type(given), given), where)
        if (rest := next(ours, None)) is not None:
            raise Mismatch("a layer too few", f"{model.name}: {rest[1]}")
        _equal("output", place[model.chain.output], meaning.end.node, model.name)
        named = tuple((output.name, place[output.node]) for output in model.outputs)
        _equal("named outputs", named, meaning.outputs, model.name)
        heads = [p.body.output for p in walk(model.chain) if isinstance(p, AuxPart)]
        _equal("heads", [place[head] for head in heads], meaning.machine.heads, model.name)
        said = meaning.machine.init
        _equal("init", model.init and _said(model.init), said and str(said), model.name)


def _said(init: Initializer) -> str:
    """An initializer as ``tree.Init`` says it."""
    number = getattr(init, "std", getattr(init, "bound", None))
    words = [] if number is None else [f"{number:g}"]
    words += [f"bias={init.bias:g}"] if init.bias else []
    return f"{init.name}({', '.join(words)})" if words else init.name


def _equal(kind: str, found: object, expected: object, where: str = "") -> None:
    if found != expected:
        raise Mismatch(kind, f"{where}: {found} is not {expected}")


# ── The module ───────────────────────────────────────────────────────────────────────────────


def _judge_network(model: Model, build: Callable[[], nn.Module], seed: int) -> Comparison:
    """Compare a network with its graph, and with what its weights should start as."""
    for scale in _SCALES:
        comparison = _compare(model, build, seed, scale)
        if comparison.is_finite:
            return comparison
    raise Mismatch(NOT_FINITE, model.name)


def _compare(model: Model, build: Callable[[], nn.Module], seed: int, scale: float) -> Comparison:
    torch.manual_seed(seed)
    says_init = model.init or any(getattr(node.layer, "init", None) for node in model.layers)
    with nullcontext() if says_init else unfilled():
        network = build()
    _check_initialization(model, network.state_dict())
    comparison = Comparison(model, network, seed=seed, scale=scale)
    _refuse(model, comparison.differences())
    return comparison


def _refuse(model: Model, differences: Iterable[NumericMismatch]) -> None:
    for found in differences:
        raise Mismatch(found.fact, f"{model.name}, {found.name}: {found.text}")


# ── Initialization ───────────────────────────────────────────────────────────────────────────


def _check_initialization(model: Model, state: dict[str, Tensor]) -> None:
    """What weights and biases start as, as far as a few numbers can show it."""
    for node in model.layers:
        layer = node.layer
        init = getattr(layer, "init", None) or model.init
        if not isinstance(layer, WeightLayer) or init is None:
            continue
        name = model.names[node.id]
        own = [key for key in state if key.startswith(f"{name}.")]
        for key in own:
            tensor = state[key]
            bound = {"zeros": 0.0}.get(init.name, getattr(init, "bound", None))
            if init.name == "normal":
                bound = 7 * init.std  # type: ignore[attr-defined]
            if key.endswith(".bias"):
                _equal("initial bias", set(tensor.tolist()), {init.bias}, key)
            elif bound is not None and tensor.abs().max().item() > bound:
                raise Mismatch("initial weight", f"{model.name}, {key} beyond {bound}")
