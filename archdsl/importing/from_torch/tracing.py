"""A module of PyTorch, traced by ``torch.fx``: its layers in execution order, with their inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from torch import fx, nn

from archdsl.importing.errors import NO_TENSOR, OTHERWISE, NotInTheLanguage, Refused
from archdsl.importing.from_torch import (
    attention,
    by_hand,
    functions,
    padding,
    parameters,
    sequences,
)
from archdsl.importing.from_torch.externs import Constructions, target_of
from archdsl.importing.from_torch.following import FAILED, follow
from archdsl.importing.from_torch.reader import Handler, TraceReader
from archdsl.importing.from_torch.standins import CannotFollow, is_same_tensor, results_of
from archdsl.importing.from_torch.usable import unusable
from archdsl.importing.graph import SourceGraph
from archdsl.layers.volume import Volume

#: What reads the calls of functions, of methods and of modules, by name or class.
_HANDLERS: dict[object, Handler] = {
    **functions.HANDLERS,
    **padding.HANDLERS,
    **parameters.HANDLERS,
    **attention.HANDLERS,
    **by_hand.HANDLERS,
    **sequences.HANDLERS,
}

#: Modules that are made of others, which no spec can say.
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
#: Functions that are told whether the module trains, maybe by position.
_DEPENDS = ("dropout", "stochastic_depth", "batch_norm", "instance_norm")


def trace_with_externs(
    module: nn.Module, name: str, inputs: Mapping[str, Volume], made: Constructions
) -> tuple[SourceGraph, dict[str, str]]:
    """The layers of a module, what the language cannot say as `extern`; its mode changes.

    With them the paths of those modules, each with what makes it. Each is the innermost around what
    is refused that can be written so.

    Errors:
        NotInTheLanguage: with all that cannot be said so either.
    """
    externs: dict[str, str] = {}
    #: Why modules are none, or nothing where it was of no use that they were.
    refused: dict[str, str] = {}
    while True:
        try:
            return trace(module, name, inputs, externs), externs
        except NotInTheLanguage as fault:
            reasons = fault.reasons
        before = {**externs}
        told = []
        for reason in reasons:
            why = ""
            for path in _around(module, reason):
                if path in externs and path not in before:
                    break
                if path in before:
                    refused[path] = ""
                elif path not in refused:
                    try:
                        target = target_of(module.get_submodule(path), made)
                    except Refused as fault:
                        refused[path] = f"{path} cannot be an `extern`: {fault}"
                    else:
                        externs = {p: t for p, t in externs.items() if not p.startswith(f"{path}.")}
                        externs[path] = target
                        break
                why = why or refused[path]
            told.append(f"{reason} ({why})" if why else reason)
        if externs == before:
            raise NotInTheLanguage(name, told)


def _around(module: nn.Module, reason: str) -> Iterator[str]:
    """The paths of the module that a reason is about, and of those around it, from the inside."""
    path = reason.partition(": ")[0].partition("@")[0]
    modules = dict(module.named_modules(remove_duplicate=False))
    while path and path in modules:
        if type(modules[path]) not in _CONTAINERS:
            yield path
        path = path.rpartition(".")[0]


def trace(
    module: nn.Module,
    name: str,
    inputs: Mapping[str, Volume],
    externs: Mapping[str, str] = MappingProxyType({}),
) -> SourceGraph:
    """The layers of a module, whose inputs have these names and volumes; its mode changes.

    ``externs`` are the paths of modules that are not looked into, with what makes them.

    Errors:
        NotInTheLanguage: with all that the language cannot say.
    """
    reasons = [*unusable(module)]
    training, evaluation = (
        _traced(module, name, inputs, mode, reasons, externs) for mode in (True, False)
    )
    _need_results(evaluation, name, reasons)
    flags = _flags(training, evaluation, name, reasons)
    reader = TraceReader(module, inputs, flags, _HANDLERS, externs)
    for node in training.nodes:
        reader.read(node)
    reasons += reader.reasons
    if reasons:
        raise NotInTheLanguage(name, list(dict.fromkeys(reasons)))
    return SourceGraph(
        name,
        inputs,
        reader.layers(),
        reader.output,
        reader.heads if len(results_of(evaluation)) == 1 else (),
        outputs=reader.named_results() if len(results_of(evaluation)) > 1 else {},
        is_rounded=reader.is_rounded,
    )


def _traced(
    module: nn.Module,
    name: str,
    inputs: Mapping[str, Volume],
    is_training: bool,
    reasons: list[str],
    leaves: Collection[str],
) -> fx.Graph:
    """What a module does in a mode; ``reasons`` are those for which it is refused anyway."""
    try:
        module.train(is_training)
        _need_mode(module, is_training)
        graph = follow(module, inputs, leaves)
    except CannotFollow as fault:
        path = getattr(fault, FAILED, "")
        reason = f"{path}: {fault}" if path else str(fault)
        raise NotInTheLanguage(name, [*dict.fromkeys([*reasons, reason])]) from None
    except Exception as error:  # whatever the module does with what flows through it
        line = str(error).partition("\n")[0].partition(". ")[0]
        path = getattr(error, FAILED, "")
        reason = f"`torch.fx` cannot follow it: {type(error).__name__}: {line}"
        reason = f"{path}: {reason}" if path else reason
        raise NotInTheLanguage(name, [*reasons, reason]) from None
    return graph


def _need_mode(module: nn.Module, is_training: bool) -> None:
    """Refuse parts that keep a mode of their own, such as frozen batch normalization."""
    own = [path for path, inner in module.named_modules() if inner.training is not is_training]
    if own:
        mode = "evaluation" if is_training else "training"
        raise CannotFollow(f"{own[0] or 'forward'}: it stays in {mode}, whatever is around it does")


def _need_results(evaluation: fx.Graph, name: str, reasons: list[str]) -> None:
    found = results_of(evaluation)
    if not found or not all(isinstance(node, fx.Node) for _, node in found):
        raise NotInTheLanguage(name, [*reasons, NO_TENSOR])


def _flags(
    training: fx.Graph, evaluation: fx.Graph, name: str, reasons: list[str]
) -> dict[fx.Node, tuple[fx.Node, ...]]:
    """Each step of training with the same one of evaluation, where that takes it, too.

    Evaluation may leave out steps: those of heads that only training has.
    """
    found: dict[fx.Node, tuple[fx.Node, ...]] = {}
    same: dict[fx.Node, fx.Node] = {}
    left = [node for node in evaluation.nodes if node.op != "output"]
    differs = False
    for node in training.nodes:
        is_same = bool(left) and _step(node) == _step(left[0])
        found[node] = (node, left.pop(0)) if is_same else (node,)
        if is_same:
            other = found[node][1]
            same[node] = other
            given = (node.args, node.kwargs), (other.args, other.kwargs)
            depends = getattr(node.target, "__name__", "") in _DEPENDS
            differs |= not _is_same(*given, same, depends=depends)
    ours, theirs = results_of(training), results_of(evaluation)
    # Of several results in evaluation, training has each, and no other.
    count = len(theirs) if len(theirs) == 1 else max(len(ours), len(theirs))
    ends = [same.get(node) for _, node in ours if isinstance(node, fx.Node)]
    if left or differs or ends[:count] != [node for _, node in theirs]:
        raise NotInTheLanguage(name, [*reasons, OTHERWISE])
    return found


def _is_same(
    one: Any, other: Any, same: Mapping[fx.Node, fx.Node], *, depends: bool = False
) -> bool:
    """Whether two calls are given the same; whether the module trains can be among it."""
    if isinstance(one, fx.Node):
        found = same.get(one)
        # Dropout in place gives back what flows in, in evaluation.
        is_one = isinstance(other, fx.Node) and found is not None and is_same_tensor(found, other)
        return found is other or is_one
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(
            _is_same(a, b, same, depends=depends) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            _is_same(one[key], other[key], same, depends=depends or key == "training")
            for key in one
        )
    if isinstance(one, slice) and isinstance(other, slice):
        ends = (one.start, one.stop, one.step), (other.start, other.stop, other.step)
        return _is_same(*ends, same)
    is_mode = depends and (one, other) == (True, False)
    return is_mode or (type(one) is type(other) and one == other)


def _step(node: fx.Node) -> tuple[object, ...]:
    target = node.target
    if isinstance(target, str) and target.startswith("_tensor_constant"):
        target = "_tensor_constant"  # which both number on
    return node.op, target, [*(node.meta.get("nn_module_stack") or {})]
