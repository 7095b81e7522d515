"""A module of PyTorch, traced by ``torch.fx``: its layers in execution order, with their inputs."""

from __future__ import annotations

from torch import fx, nn

from archdsl.importing.errors import OTHERWISE, NotInTheLanguage
from archdsl.importing.from_torch import attention, functions, parameters, sequences
from archdsl.importing.from_torch.following import follow
from archdsl.importing.from_torch.reader import Handler, TraceReader
from archdsl.importing.graph import SourceGraph
from archdsl.layers.volume import Volume

#: What reads the calls of functions, of methods and of modules, by name or class.
_HANDLERS: dict[object, Handler] = {
    **functions.HANDLERS,
    **parameters.HANDLERS,
    **attention.HANDLERS,
    **sequences.HANDLERS,
}


def trace(module: nn.Module, name: str, input: Volume) -> SourceGraph:
    """The layers of a module; its mode changes.

    Errors:
        NotInTheLanguage: with all that the language cannot say.
    """
    training, evaluation = (_traced(module, name, input, mode) for mode in (True, False))
    _need_one_result(evaluation, name)
    flags = _flags(training, evaluation, name)
    reader = TraceReader(module, input, flags, _HANDLERS)
    for node in training.nodes:
        reader.read(node)
    if reader.reasons:
        raise NotInTheLanguage(name, list(dict.fromkeys(reader.reasons)))
    return SourceGraph(
        name,
        input,
        reader.layers(),
        reader.output,
        reader.heads,
        is_rounded=reader.is_rounded,
    )


def _traced(module: nn.Module, name: str, input: Volume, is_training: bool) -> fx.Graph:
    try:
        return follow(module.train(is_training), input)
    except Exception as error:  # whatever the module does with what flows through it
        line = str(error).partition("\n")[0].partition(". ")[0]
        reason = f"`torch.fx` cannot follow it: {type(error).__name__}: {line}"
        raise NotInTheLanguage(name, [reason]) from None


def _need_one_result(evaluation: fx.Graph, name: str) -> None:
    (result,) = (node.args[0] for node in evaluation.nodes if node.op == "output")
    is_class = isinstance(result, fx.Node) and isinstance(result.target, type)
    if not isinstance(result, fx.Node) or is_class:
        raise NotInTheLanguage(name, ["it returns several results, which is not imported yet"])


def _flags(
    training: fx.Graph, evaluation: fx.Graph, name: str
) -> dict[fx.Node, tuple[fx.Node, ...]]:
    """Each step of training with the same one of evaluation, where that takes it, too.

    Evaluation may leave out steps: those of heads that only training has.
    """
    found: dict[fx.Node, tuple[fx.Node, ...]] = {}
    left = [node for node in evaluation.nodes if node.op != "output"]
    for node in training.nodes:
        is_same = bool(left) and _step(node) == _step(left[0])
        found[node] = (node, left.pop(0)) if is_same else (node,)
    if left:
        raise NotInTheLanguage(name, [OTHERWISE])
    return found


def _step(node: fx.Node) -> tuple[object, ...]:
    target = node.target
    if isinstance(target, str) and target.startswith("_tensor_constant"):
        target = "_tensor_constant"  # which both number on
    return node.op, target, [*(node.meta.get("nn_module_stack") or {})]
