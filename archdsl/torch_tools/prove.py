"""Torch as the judge of a Model: the emitted modules, compared with it number by number.

The meta device computes shapes but no numbers, so even the largest network takes no memory there.
Then the modules run in double precision, beside the Model's graph run node by node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from archdsl.codegen import entry_names
from archdsl.layers import UnaryLayer
from archdsl.layers.volume import MOST_AXES, Volume
from archdsl.model import Model
from archdsl.model.proof import Numbers, Proof
from archdsl.network.graph import Node, label_of
from archdsl.network.parts import AuxPart, walk
from archdsl.text.diagnostics import Diagnostic
from archdsl.torch_tools.counting import BATCH, count_parameters, run_counted
from archdsl.torch_tools.interpret import in_double, unfilled
from archdsl.torch_tools.network import build_network, load_module
from archdsl.torch_tools.numbers import Comparison, NumericMismatch
from archdsl.torch_tools.sampling import choose_sample, narrowed

_TORCH = torch.__version__.partition("+")[0]

TensorShape = tuple[int, ...]


def prove(models: Sequence[Model], source: str, inference: str) -> Mapping[Model, Proof]:
    """Compare the Models of a file with its modules in torch.

    ``source`` is the text of the module, and ``inference`` that of the one for inference. The
    first runs twice on the meta device, in training with the auxiliary heads and in evaluation
    without: every volume, parameter count and MAC is compared. A merge is an expression, not a
    module: its volume is what the layers that read it take, or what the network returns. Then both
    run on random images with random parameters: outputs, gradients and buffers are compared.
    """
    files = [_File(source), _File(inference)]
    names = entry_names(models)
    return {model: _prove(model, name, *files) for model, name in zip(models, names, strict=True)}


class _File:
    """A module that is executed when its first network is built."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._module: ModuleType | None = None

    def build(self, name: str) -> nn.Module:
        if self._module is None:
            self._module = load_module(self.source)
        return build_network(self._module, name)


def _prove(model: Model, name: str, plain: _File, inference: _File) -> Proof:
    mismatches = _Mismatches(model)
    try:
        with torch.device("meta"), torch.no_grad():
            network = plain.build(name)
            runs = [_Run(model, network, is_training) for is_training in (True, False)]
    except Exception as error:  # whatever keeps the module from running disproves it
        mismatches.report(None, "module", "it runs", _said(error))
        return Proof(_TORCH, 0, 0, 0, None, "", tuple(mismatches.diagnostics))
    _compare_parameters(mismatches, network)
    for run in runs:
        _compare_volumes(mismatches, run)
        _compare_macs(mismatches, run)
    found = "" if mismatches.found else _compare_numbers(mismatches, name, plain, inference)
    return Proof(
        _TORCH,
        len(set().union(*(run.shown for run in runs)) - {node.id for node in model.inputs}),
        count_parameters(network),
        runs[0].macs_of(None),
        None if isinstance(found, str) else found,
        found if isinstance(found, str) else "",
        tuple(mismatches.diagnostics),
    )


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


# ── What torch says ──────────────────────────────────────────────────────────────────────────


class _Run:
    """One pass of the module: the shapes each module takes and returns, and the FLOPs."""

    def __init__(self, model: Model, network: nn.Module, is_training: bool) -> None:
        self.model = model
        self.is_training = is_training
        self.mode = "training" if is_training else "evaluation"
        self.root = type(network).__name__
        #: Nodes whose volume was seen.
        self.shown: set[int] = set()
        #: By module, what each of its calls takes and gives.
        self.calls: dict[str, list[tuple[TensorShape, TensorShape]]] = {}
        network.train(is_training)
        handles = [
            module.register_forward_hook(self._recorder(name))
            for name, module in network.named_modules()
            if name
        ]
        output, self.macs = run_counted(network, [node.volume for node in model.inputs])
        for handle in handles:
            handle.remove()
        self.outputs = [_shape(tensor) for tensor in _tensors(output)]

    def _recorder(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(_module: nn.Module, inputs: Any, output: Any) -> None:
            self.calls.setdefault(name, []).append((_shape(inputs[0]), _shape(output)))

        return record

    def macs_of(self, name: str | None) -> int:
        """The MACs of a module for one image; without a name those of the network."""
        return self.macs.get(self.root if name is None else f"{self.root}.{name}", 0)


def _tensors(output: Any) -> tuple[Any, ...]:
    return (output,) if isinstance(output, Tensor) else tuple(output)


def _shape(value: Any) -> TensorShape:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


# ── Comparing ────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Mismatches:
    """Collects where torch disagrees, each fact once."""

    model: Model
    found: dict[tuple[str, str], Diagnostic] = field(default_factory=dict)

    def report(self, node: Node | None, fact: str, ours: str, theirs: str) -> None:
        name = "" if node is None else self.model.names[node.id]
        self._tell(node, name, fact, f"archdsl says {ours}, torch says {theirs}")

    def report_number(self, difference: NumericMismatch) -> None:
        self._tell(difference.node, difference.name, difference.fact, difference.text)

    def _tell(self, node: Node | None, name: str, fact: str, label: str) -> None:
        about = f" of `{name}`" if name else ""
        span = self.model.span if node is None else self.model.place_of(node)
        message = f"{self.model.name}: torch disagrees on the {fact}{about}"
        self.found.setdefault((name, fact), Diagnostic("torch-disagrees", message, span, label))

    def has(self, fact: str) -> bool:
        return any(known == fact for _, known in self.found)

    @property
    def diagnostics(self) -> Iterable[Diagnostic]:
        return self.found.values()


def _compare_parameters(mismatches: _Mismatches, network: nn.Module) -> None:
    model = mismatches.model
    modules = dict(network.named_modules())
    for node in _unary(model.layers):
        if node.shares is not None:
            continue
        ours = model.costs[node.id].parameters
        module = modules.get(model.names[node.id])
        if module is None:
            mismatches.report(node, "module", "it is there", "it is not")
        elif (theirs := count_parameters(module)) != ours:
            mismatches.report(node, "parameters", f"{ours:,}", f"{theirs:,}")
    total = model.trunk.parameters + model.heads.parameters
    theirs = count_parameters(network)
    # Where a layer is wrong, the sum is wrong, too: one mistake, one message.
    if theirs != total and not mismatches.has("parameters"):
        mismatches.report(None, "parameters of the network", f"{total:,}", f"{theirs:,}")


def _compare_volumes(mismatches: _Mismatches, run: _Run) -> None:
    model = mismatches.model
    for users in _users(model):
        due = [node for node in users if run.is_training or node.head is None]
        calls = list(run.calls.get(model.names[users[0].id], ()))
        if len(due) != len(calls):
            ours = f"{_often(len(due))} in {run.mode}"
            mismatches.report(users[0], "use", ours, _often(len(calls)))
            continue
        for node, (taken, given) in zip(due, _in_order(model, due, calls), strict=True):
            _compare_volume(mismatches, run, node, given)
            _compare_read(mismatches, run, node, taken)
    outputs = [*model.ends]
    if run.is_training:
        heads = (part for part in walk(model.chain) if isinstance(part, AuxPart))
        outputs += [head.body.output for head in heads]
    if len(run.outputs) != len(outputs):
        mismatches.report(
            None, f"number of outputs in {run.mode}", f"{len(outputs)}", f"{len(run.outputs)}"
        )
        return
    for output, shape in zip(outputs, run.outputs, strict=True):
        _compare_volume(mismatches, run, model.nodes[output], shape)


def _users(model: Model) -> Iterable[list[Node]]:
    """The layers that are modules, those that share one together."""
    users: dict[int, list[Node]] = {}
    for node in _unary(model.layers):
        users.setdefault(node.module, []).append(node)
    return users.values()


def _often(count: int) -> str:
    return {0: "it does not run", 1: "it runs"}.get(count, f"it runs {count} times")


def _in_order(
    model: Model, nodes: Sequence[Node], calls: list[tuple[TensorShape, TensorShape]]
) -> list[tuple[TensorShape, TensorShape]]:
    """The calls of a module in the order of its nodes, as far as they are those of the nodes.

    A module may run its branches in another order than the spec has them.
    """
    wanted = []
    for node in nodes:
        x = model.nodes[node.inputs[0]].volume
        flat = isinstance(node.layer, UnaryLayer) and node.layer.flattens
        taken = (x.elements,) if flat else x.torch_sizes
        wanted.append(((BATCH, *taken), (BATCH, *node.volume.torch_sizes)))
    left = list(calls)
    for call in wanted:
        if call in left:
            left.remove(call)
    found = []
    rest = list(calls)
    for call in wanted:
        if call in rest:
            rest.remove(call)
            found.append(call)
        else:
            found.append(left.pop(0))
    return found


def _compare_read(mismatches: _Mismatches, run: _Run, reader: Node, shape: TensorShape) -> None:
    """Compare what a layer takes with the volume of the node it reads."""
    source = mismatches.model.nodes[reader.inputs[0]]
    if isinstance(reader.layer, UnaryLayer) and reader.layer.flattens:
        # The module sees its input flattened to a vector.
        if shape == (BATCH, source.volume.elements):
            return
        mismatches.report(source, "elements", f"{source.volume.elements:,}", _sizes(shape))
        return
    _compare_volume(mismatches, run, source, shape)


def _compare_volume(mismatches: _Mismatches, run: _Run, node: Node, shape: TensorShape) -> None:
    run.shown.add(node.id)
    if shape == (BATCH, *node.volume.torch_sizes):
        return
    if not node.inputs:  # an input is no layer, and has no name among these
        fact = f"input {label_of(node)}".strip()
        mismatches.report(None, fact, str(node.volume), _sizes(shape))
    else:
        mismatches.report(node, "volume", str(node.volume), _sizes(shape))


def _compare_macs(mismatches: _Mismatches, run: _Run) -> None:
    model = mismatches.model
    for users in _users(model):
        due = [node for node in users if run.is_training or node.head is None]
        ours = sum(model.costs[node.id].macs for node in due)
        theirs = run.macs_of(model.names[users[0].id])
        if ours != theirs and due:
            mismatches.report(users[0], "MACs", f"{ours:,}", f"{theirs:,}")
    total = model.trunk.macs + (model.heads.macs if run.is_training else 0)
    theirs = run.macs_of(None)
    if total != theirs and not mismatches.has("MACs"):
        mismatches.report(None, f"MACs of the network in {run.mode}", f"{total:,}", f"{theirs:,}")


def _compare_numbers(
    mismatches: _Mismatches, name: str, plain: _File, inference: _File
) -> Numbers | str:
    """Compare with the graph in numbers; a text says why this was left out."""
    sample = choose_sample(mismatches.model)
    if isinstance(sample, str):
        return sample
    try:
        with in_double():
            with unfilled(), narrowed(sample.divisor):
                network = plain.build(name)
            comparison = Comparison(mismatches.model, network, sample)
            differences = [*comparison.differences()]
            if not differences:
                with unfilled(), narrowed(sample.divisor):
                    deployed = inference.build(name)
                differences += comparison.inference_differences(deployed)
    except Exception as error:
        mismatches.report(None, "module", "it runs", _said(error))
        return ""
    for difference in differences[:1]:
        mismatches.report_number(difference)
    if not comparison.is_finite:
        return "with random weights not all of them are finite"
    return Numbers(
        sample.input,
        sample.images,
        sample.divisor,
        comparison.outputs,
        comparison.gradients,
        comparison.buffers,
        sample.others,
    )


def _unary(nodes: Iterable[Node]) -> Iterator[Node]:
    """The layers that are modules."""
    return (node for node in nodes if isinstance(node.layer, UnaryLayer))


def _sizes(shape: TensorShape) -> str:
    """A shape as a volume where it is that of a batch, or else as torch writes it."""
    match shape:
        case (batch, channels, *sizes) if batch == BATCH and len(sizes) <= MOST_AXES:
            return str(Volume.along(sizes, channels))
    return f"the shape {list(shape)}"
