"""From what was read to the text of a spec, which is proved to compute the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import torch
from torch import Tensor, nn

from archdsl import api
from archdsl.classplan.naming import camel_case
from archdsl.frontend import Inputs, Sizes, as_inputs
from archdsl.importing.agreement import BATCH
from archdsl.importing.errors import NotInTheLanguage
from archdsl.importing.file_proof import compare_file
from archdsl.importing.files import FileSource
from archdsl.importing.folding import fold
from archdsl.importing.from_torch.arguments import inputs_of
from archdsl.importing.from_torch.externs import Constructions
from archdsl.importing.from_torch.proof import (
    TOLERANCE,
    Original,
    SameBits,
    compare,
    shown_volumes,
)
from archdsl.importing.from_torch.tracing import trace, trace_with_externs
from archdsl.importing.from_torch.untouched import untouched
from archdsl.importing.graph import INPUT, SourceGraph
from archdsl.importing.statements import Body, heads_in, layers_in
from archdsl.importing.structure import structure
from archdsl.importing.text import HEAD_WEIGHT, write_spec
from archdsl.layers import LayerError
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.text.diagnostics import ArchError
from archdsl.version import __version__

#: A text of so much of the lines is much shorter.
_MUCH_SHORTER = 0.75
#: A step with more multiply–accumulates than these for an image takes seconds on a CPU.
_MANY = 10**9
#: No image is made smaller than half of this.
_SMALLEST = 64


@dataclass(frozen=True)
class Imported:
    """The text of a spec, its Model, and the original's weights under the names of the spec.

    There are none where a file has a structure alone.
    """

    text: str
    model: Model
    state: dict[str, Tensor]
    #: What of the two is the same, in short.
    proved: str
    #: Whether that is each bit.
    is_exact: bool = False


def import_torch(
    module: nn.Module,
    name: str,
    input: Inputs,
    origin: str,
    *,
    externs: Constructions | None = None,
) -> Imported:
    """The spec of a module, after both were compared on random images; the module stays as it is.

    ``input`` is a volume, or one for each argument of ``forward``, by name. With ``externs``, which
    says how modules were made, what the language cannot say is an `extern`.

    Errors:
        WrongSource: where the inputs are not those of the module.
        NotInTheLanguage: with all that the language cannot say.
        NotTheSame: where the two compute other numbers, which is a fault of archdsl.
    """
    inputs = inputs_of(module, name, input)
    targets: dict[str, str] = {}
    with untouched(module):
        if externs is None:
            graph = trace(module, name, inputs)
        else:
            graph, targets = trace_with_externs(module, name, inputs, externs)
        body = structure(graph)
        text, model = _written(graph, body)
        # A module of others is for one volume.
        whole = [*inputs.values()]
        sample = whole if targets else _sample(module, graph, model.trunk.macs)
        original = Original(module, graph, [*layers_in(body)], heads_in(body))
        compared = compare(original, model, sample)
    lines = _origin(origin, compared, [*inputs.values()], sample)
    if targets:
        lines += ("What is `extern` is code of others, which the spec's module imports and runs.",)
    if graph.heads:
        lines += (
            f"The weight of the heads' losses is not in the module: {HEAD_WEIGHT} is GoogLeNet's.",
        )
    same = "the same bits as" if compared.is_exact else "the same, up to rounding, as"
    made = _commented(name, lines, text, compared.state, f"{same} {origin}")
    return replace(made, is_exact=compared.is_exact)


def import_file(source: FileSource, origin: str) -> Imported:
    """The spec of a network that a file describes, after both were compared on random images.

    Errors:
        NotInTheLanguage: with all that the language cannot say.
        NotTheSame: where the two compute other numbers, which is a fault of archdsl.
        WrongSource: where its numbers prove nothing.
    """
    graph = source.graph
    body = _shortest(graph)
    text, model = _written(graph, body)
    compared = compare_file(source, model, [*layers_in(body)], heads_in(body))
    lines = [
        f"Imported from {_one_line(origin)} by archdsl {__version__}.",
        f"The same results to 1e-5 as by {source.judge}, for {BATCH} random images, with "
        f"{compared.weights}.",
    ]
    proved = f"the same results as {origin}, to 1e-5"
    return _commented(graph.name, lines, text, compared.state, proved)


def _shortest(graph: SourceGraph) -> Body:
    """The statements with the names of the file; without these where that is much shorter.

    Names such as `res4b_branch2a` keep parts that are alike from being one block.
    """
    named = structure(graph)
    lines = fold(graph, named)
    operations = tuple(replace(o, scopes=(), path="") for o in graph.operations)
    bare = structure(replace(graph, operations=operations))
    return bare if fold(graph, bare) < _MUCH_SHORTER * lines else named


def _written(graph: SourceGraph, body: Body) -> tuple[str, Model]:
    try:
        text = api.format(write_spec(graph, body), volumes=True)
        return text, api.parse(text, path=f"{graph.name}.arch")
    except ArchError as error:  # what others build and the language refuses, as 0 units
        raise NotInTheLanguage(graph.name, [d.message for d in error.diagnostics]) from None


def _commented(
    name: str, lines: Sequence[str], text: str, state: dict[str, Tensor], proved: str
) -> Imported:
    """What was compared, with nothing before it but comments."""
    commented = "".join(f"# {line}\n" for line in lines) + f"\n{text}"
    return Imported(commented, api.parse(commented, path=f"{name}.arch"), state, proved)


def _sample(module: nn.Module, graph: SourceGraph, macs: int) -> list[Volume]:
    """What both run on: the inputs, or smaller ones behind which the module has the same layers.

    So the same code runs, in less time. The smallest is tried first.
    """
    layers = [(layer.layer, layer.inputs, layer.path) for layer in graph.operations]
    smaller: list[dict[str, Volume]] = []
    sample = dict(graph.inputs)
    while macs > _MANY and all(
        size >= _SMALLEST for volume in sample.values() for size in volume.spatial
    ):
        sample = {
            name: Volume.along(tuple(size // 2 for size in volume.spatial), volume.channels)
            for name, volume in sample.items()
        }
        smaller.append(sample)
        macs //= 4
    for sample in reversed(smaller):
        if not _fits(graph, sample):
            continue
        try:
            found = trace(module, graph.name, sample).operations
        except NotInTheLanguage:
            continue
        if [(layer.layer, layer.inputs, layer.path) for layer in found] == layers:
            return [*sample.values()]
    return [*graph.inputs.values()]


def _fits(graph: SourceGraph, inputs: Mapping[str, Volume]) -> bool:
    """Whether the layers could stand behind other inputs, with the same weights.

    It takes less time to ask them than to trace a module.
    """
    before = {INPUT - number: volume for number, volume in enumerate(graph.inputs.values())}
    volumes = {INPUT - number: inputs[name] for number, name in enumerate(graph.inputs)}
    try:
        for operation in graph.operations:
            given = tuple(volumes[i] for i in operation.inputs)
            volumes[operation.id] = operation.layer.infer(given)
            before[operation.id] = operation.volume
            (first, *_) = operation.inputs
            counts = [operation.layer.count_parameters(of[first]) for of in (before, volumes)]
            if counts[0] != counts[1]:
                return False
    except LayerError:
        return False
    return True


def from_torch(
    module: nn.Module,
    *,
    input: Sizes | Mapping[str, Sizes],
    name: str | None = None,
    extern: bool = False,
) -> Model:
    """The Model of a module, proved to compute the same; its text is ``model.source.text``.

    ``input`` is the volume of an image, channels last: ``"224x224x3"``. Of several inputs each has
    the name that ``forward`` gives it: ``{"left": "105x105x1", "right": "105x105x1"}``. The network
    is called like the module's class unless a name is given. With ``extern``, modules that the
    language cannot say are `extern`, where their arguments are attributes of the same names.

    Errors:
        WrongSource: where the inputs are not those of the module.
        NotInTheLanguage: with all that the language cannot say.
        NotTheSame: where the two compute other numbers, which is a fault of archdsl.
        ValueError: the input is no volume.
    """
    kind = type(module)
    place = f"{kind.__module__}:{kind.__qualname__}"
    called = name or camel_case(kind.__name__)
    externs: Constructions | None = {} if extern else None
    return import_torch(module, called, as_inputs(input), place, externs=externs).model


def _one_line(text: str) -> str:
    """A text within a comment, whatever a file is called."""
    return " ".join(text.split())


def _origin(
    source: str, compared: SameBits, inputs: Sequence[Volume], sample: Sequence[Volume]
) -> tuple[str, ...]:
    packages = [f"torch {torch.__version__}"]
    if source.startswith("torchvision."):
        packages.insert(0, f"torchvision {version('torchvision')}")
    drops = " nothing dropped in training," if compared.drops else ""
    whole = "" if sample == inputs else f"the output for one of {shown_volumes(inputs)}, "
    same = "The same bits as the original"
    if not compared.is_exact:
        same = f"The same as the original to {TOLERANCE:g} in double precision"
    return (
        f"Imported from {_one_line(source)} by archdsl {__version__}.",
        f"{same}, with its weights ({', '.join(packages)}):{drops}",
        f"{whole}outputs for {BATCH} random images of {shown_volumes(sample)}, "
        f"{compared.gradients} gradients and {compared.buffers} buffers of a step.",
    )
