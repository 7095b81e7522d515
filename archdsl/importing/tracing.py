"""A module of PyTorch, traced by ``torch.fx``: its layers in execution order, with their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import fx, nn

from archdsl.importing.errors import OTHERWISE, NotInTheLanguage
from archdsl.importing.graph import INPUT, SourceGraph, SourceLayer, SourcePart
from archdsl.importing.modules import FUNCTIONS, Refused, layer_of, normalization
from archdsl.layers import Layer, LayerError
from archdsl.layers.dense import Flatten
from archdsl.layers.merge import Add, Concat, Maximum, Multiply, Subtract
from archdsl.layers.pool import GlobalAveragePool
from archdsl.layers.rearrangement import ChannelShuffle, Slice
from archdsl.layers.regularization import DropPath
from archdsl.layers.volume import Volume


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A result of the operation with this number."""

    id: int


class _Batch:
    """The number of images, as a module asks for it."""


@dataclass(frozen=True, slots=True)
class _Attribute:
    """A parameter or a buffer that a module uses by itself."""

    path: str


@dataclass(frozen=True, slots=True)
class _Grouped:
    """A result whose channels are seen as groups; ``is_turned`` is by members of the groups."""

    of: _Tensor
    groups: int
    is_turned: bool = False


def trace(module: nn.Module, name: str, input: Volume) -> SourceGraph:
    """The layers of a module; its mode changes.

    Errors:
        NotInTheLanguage: with all that the language cannot say.
    """
    training, evaluation = (_traced(module, name, mode) for mode in (True, False))
    _need_one_result(evaluation, name)
    flags = _flags(training, evaluation, name)
    reader = _TraceReader(module, input, flags)
    for node in training.nodes:
        reader.read(node)
    if reader.reasons:
        raise NotInTheLanguage(name, list(dict.fromkeys(reader.reasons)))
    return SourceGraph(name, input, tuple(reader.operations), reader.output, reader.heads)


def _traced(module: nn.Module, name: str, is_training: bool) -> fx.Graph:
    try:
        return fx.Tracer().trace(module.train(is_training))
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
    return node.op, node.target, [*(node.meta.get("nn_module_stack") or {})]


class _TraceReader:
    """Turns the nodes of a trace into operations."""

    def __init__(
        self, module: nn.Module, input: Volume, modes: dict[fx.Node, tuple[fx.Node, ...]]
    ) -> None:
        self.module = module
        self.volume = input
        self.modes = modes
        self.operations: list[SourceLayer] = []
        self.values: dict[str, Any] = {}
        self.reasons: list[str] = []
        self.output = INPUT
        self.heads: tuple[int, ...] = ()
        self.called: set[str] = set()

    def read(self, node: fx.Node) -> None:
        """Read one node; what cannot be said is collected, and what depends on it is left out."""
        arguments = [*node.args, *node.kwargs.values()]
        if any(self._is_unknown(argument) for argument in arguments):
            return
        try:
            value = self._value(node)
        except (Refused, LayerError) as fault:
            self.reasons.append(f"{_place(node)}: {fault}")
            return
        self.values[node.name] = value

    def _is_unknown(self, argument: Any) -> bool:
        if isinstance(argument, fx.Node):
            return argument.name not in self.values
        if isinstance(argument, list | tuple):
            return any(map(self._is_unknown, argument))
        return False

    def _value(self, node: fx.Node) -> Any:
        match node.op:
            case "placeholder":
                if self.values:
                    raise Refused("several inputs are not imported yet")
                return _Tensor(INPUT)
            case "output":
                result = self._known(node.args[0])
                results = result if isinstance(result, tuple) else (result,)
                if not all(isinstance(one, _Tensor) for one in results):
                    raise Refused("what it returns are not tensors alone")
                self.output, *heads = (one.id for one in results)
                self.heads = tuple(heads)
                return None
            case "call_module":
                return self._call_module(node)
            case "get_attr":
                return _Attribute(str(node.target))
            case _:
                return self._call_function(node)

    def _known(self, argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            return self.values[argument.name]
        if isinstance(argument, list | tuple):
            known = map(self._known, argument)
            return tuple(known) if isinstance(argument, tuple) else [*known]
        return argument

    def _call_module(self, node: fx.Node) -> _Tensor:
        path = str(node.target)
        module = self.module.get_submodule(path)
        if module._forward_hooks or module._forward_pre_hooks:
            raise Refused("a module with hooks is not in the language")
        (x,) = self._known(node.args)
        state = bool([*module.parameters(), *module.buffers()])
        if state and path in self.called:
            raise Refused("a layer with weights that runs twice is not imported yet")
        self.called.add(path)
        return self._add(node, layer_of(module, self._volume_of(x)), [x], path, state)

    def _volume_of(self, value: Any) -> Volume:
        if isinstance(value, _Attribute):
            raise Refused(f"the parameter `{value.path}` belongs to no layer")
        if not isinstance(value, _Tensor):
            raise Refused("it reads what is not the result of a layer")
        return self.volume if value.id == INPUT else self.operations[value.id].volume

    def _add(
        self,
        node: fx.Node,
        layer: Layer,
        inputs: Sequence[Any],
        path: str = "",
        state: bool = False,
    ) -> _Tensor:
        volumes = tuple(map(self._volume_of, inputs))
        layer = layer.fitted(volumes)
        stack = node.meta.get("nn_module_stack") or {}
        scopes = tuple(
            SourcePart(name, kind.__qualname__, _is_row(kind))
            for name, (_, kind) in stack.items()
            # A second call of a leaf is `relu@1`; what calls a function is a part around it.
            if name and (node.op != "call_module" or name.partition("@")[0] != path)
        )
        made = SourceLayer(
            len(self.operations),
            layer,
            tuple(value.id for value in inputs),
            layer.infer(volumes),
            scopes,
            path,
            state,
            is_of_training=len(self.modes[node]) == 1,
        )
        self.operations.append(made)
        return _Tensor(made.id)

    # ── Functions ────────────────────────────────────────────────────────────────────────────

    def _call_function(self, node: fx.Node) -> Any:
        target = node.target
        args, kwargs = self._known(node.args), self._known(node.kwargs and dict(node.kwargs))
        kwargs = {key: self._known(value) for key, value in dict(node.kwargs).items()}
        name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        if node.op == "call_function" and target is getattr:
            name, args = f"get_{args[1]}", args[:1]
        if isinstance(target, type) and issubclass(target, tuple):
            return (*args, *kwargs.values())  # a named tuple of results
        special = getattr(self, f"_on_{name}", None)
        if special is not None:
            return special(node, *args, **kwargs)
        if name in FUNCTIONS:
            x, *rest = args
            module = FUNCTIONS[name](*rest, **_without(kwargs, "inplace"))
            return self._add(node, layer_of(module, self._volume_of(x)), [x])
        raise Refused(f"`{_shown(node)}` is not in the language")

    def _merge(self, node: fx.Node, layer: Layer, *inputs: Any) -> _Tensor:
        for value in inputs:
            if isinstance(value, _Attribute):
                self._volume_of(value)
        if not all(isinstance(value, _Tensor) for value in inputs):
            raise Refused(f"`{_shown(node)}` with a number is not in the language")
        return self._add(node, layer, inputs)

    def _on_add(self, node: fx.Node, x: Any, y: Any) -> _Tensor:
        return self._merge(node, Add(), x, y)

    _on_iadd = _on_add

    def _on_mul(self, node: fx.Node, x: Any, y: Any) -> _Tensor:
        return self._merge(node, Multiply(), x, y)

    _on_imul = _on_mul

    def _on_sub(self, node: fx.Node, x: Any, y: Any) -> _Tensor:
        return self._merge(node, Subtract(), x, y)

    def _on_maximum(self, node: fx.Node, x: Any, y: Any) -> _Tensor:
        return self._merge(node, Maximum(), x, y)

    def _on_cat(self, node: fx.Node, tensors: Any, dim: int = 0) -> _Tensor:
        if dim not in (1, 1 - 2 - self._volume_of(tensors[0]).rank):
            raise Refused(f"`torch.cat` along {dim} is not in the language")
        if len(tensors) == 1:
            tensor: _Tensor = tensors[0]
            return tensor
        return self._merge(node, Concat(), *tensors)

    def _on_flatten(self, node: fx.Node, x: Any, start_dim: int = 0, end_dim: int = -1) -> _Tensor:
        if (start_dim, end_dim) != (1, -1):
            raise Refused(f"`flatten({start_dim}, {end_dim})` is not in the language")
        tensor: _Tensor = x
        is_vector = self._volume_of(x).is_vector
        return tensor if is_vector else self._add(node, Flatten(), [x])

    def _on_batch_norm(self, node: fx.Node, x: Any, *given: Any, **named: Any) -> _Tensor:
        """A module of batch normalization that calls the function, as timm's do."""
        attributes = [v for v in (*given, *named.values()) if isinstance(v, _Attribute)]
        paths = {attribute.path.rpartition(".")[0] for attribute in attributes}
        path = paths.pop() if len(paths) == 1 else ""
        module = self.module.get_submodule(path)
        if not isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise Refused(f"`{_shown(node)}` outside a module of its own is not in the language")
        if path in self.called:
            raise Refused("a layer with weights that runs twice is not imported yet")
        self.called.add(path)
        return self._add(node, normalization(module, self._volume_of(x)), [x], path, True)

    def _on_add_(self, node: fx.Node, x: Any, y: Any) -> None:
        """The count of batches, which each module of batch normalization keeps."""
        if not isinstance(x, _Attribute) or not x.path.endswith("num_batches_tracked"):
            raise Refused(f"`{_shown(node)}` is not in the language")

    def _on_get_ndim(self, node: fx.Node, x: Any) -> int:
        return self._volume_of(x).rank + 2

    def _on_eq(self, node: fx.Node, x: Any, y: Any) -> bool:
        if not isinstance(x, int) or not isinstance(y, int):
            raise Refused(f"`{_shown(node)}` of tensors is not in the language")
        return x == y

    def _on__assert(self, node: fx.Node, condition: Any, message: str) -> None:
        if condition is not True:
            raise Refused(f"it asserts that {message}")

    def _on_size(self, node: fx.Node, x: Any, dim: int | None = None) -> Any:
        sizes = (_Batch(), *self._volume_of(x).torch_sizes)
        return sizes if dim is None else sizes[dim]

    def _on_get_shape(self, node: fx.Node, x: Any) -> Any:
        return self._on_size(node, x)

    def _on_getitem(self, node: fx.Node, sizes: Any, index: Any) -> Any:
        if not isinstance(sizes, tuple) or not isinstance(index, int):
            raise Refused("an index into a tensor is not in the language")
        return sizes[index]

    def _on_view(self, node: fx.Node, x: Any, *sizes: Any) -> Any:
        if len(sizes) == 1 and isinstance(sizes[0], tuple):
            (sizes,) = sizes
        if isinstance(x, _Grouped):
            return self._on_view_of_groups(node, x, sizes)
        volume = self._volume_of(x)
        if len(sizes) == volume.rank + 3 and isinstance(sizes[0], _Batch):
            _, groups, members, *spatial = sizes
            if groups * members == volume.channels and tuple(spatial) == volume.spatial:
                return _Grouped(x, groups)
        elements = volume.elements
        # `view(-1, 768)` gives a vector for each image only where an image has 768 numbers.
        is_batch = len(sizes) == 2 and isinstance(sizes[0], _Batch) and sizes[1] in (-1, elements)
        if is_batch or sizes == (-1, elements):
            return self._on_flatten(node, x, 1)
        raise Refused(f"`{node.target}` to another shape than a vector is not in the language")

    _on_reshape = _on_view

    def _on_view_of_groups(self, node: fx.Node, x: _Grouped, sizes: tuple[Any, ...]) -> _Tensor:
        """Turned groups in a row: the channels are shuffled."""
        volume = self._volume_of(x.of)
        is_whole = len(sizes) == volume.rank + 2 and isinstance(sizes[0], _Batch)
        is_whole = is_whole and sizes[1] in (-1, volume.channels) and sizes[2:] == volume.spatial
        if not x.is_turned or not is_whole:
            raise Refused(f"`{_shown(node)}` of grouped channels is not in the language")
        return self._add(node, ChannelShuffle(x.groups), [x.of])

    def _on_transpose(self, node: fx.Node, x: Any, one: int, other: int) -> _Grouped:
        if not isinstance(x, _Grouped) or x.is_turned or {one, other} != {1, 2}:
            raise Refused(f"`{_shown(node)}` is not in the language")
        return replace(x, is_turned=True)

    def _on_contiguous(self, node: fx.Node, x: Any) -> Any:
        return x

    def _on_floordiv(self, node: fx.Node, x: Any, y: Any) -> int:
        if not isinstance(x, int) or not isinstance(y, int) or not y:
            raise Refused(f"`{_shown(node)}` of tensors is not in the language")
        return x // y

    def _on_chunk(self, node: fx.Node, x: Any, chunks: int, dim: int = 0) -> tuple[_Tensor, ...]:
        return self._on_split(node, x, -(-self._volume_of(x).channels // chunks), dim)

    def _on_split(self, node: fx.Node, x: Any, size: Any, dim: int = 0) -> tuple[_Tensor, ...]:
        """Ranges of channels; what is not read is left out later."""
        if dim != 1:
            raise Refused(f"`{_shown(node)}` along {dim} is not in the language")
        channels = self._volume_of(x).channels
        sizes = size if isinstance(size, list | tuple) else [size] * -(-channels // size)
        pieces, start = [], 0
        for length in sizes:
            stop = start + length
            pieces.append(self._add(node, Slice(start, None if stop >= channels else stop), [x]))
            start = stop
        return tuple(pieces)

    def _on_mean(self, node: fx.Node, x: Any, dim: Any = None, keepdim: bool = False) -> _Tensor:
        rank = self._volume_of(x).rank
        found = dim if isinstance(dim, list | tuple) else [dim]
        if not rank or sorted(d % (rank + 2) for d in found if d is not None) != [
            *range(2, rank + 2)
        ]:
            raise Refused(f"a mean over {dim} is not in the language")
        pooled = self._add(node, GlobalAveragePool(), [x])
        return pooled if keepdim else self._on_flatten(node, pooled, 1)

    def _on_dropout(
        self, node: fx.Node, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> _Tensor:
        self._need_training(node, 2)
        return self._add(node, layer_of(nn.Dropout(p), self._volume_of(x)), [x])

    def _on_stochastic_depth(
        self, node: fx.Node, x: Any, p: float, mode: str, training: bool = True
    ) -> _Tensor:
        if mode != "row":
            raise Refused("`stochastic_depth` of a whole batch is not in the language")
        self._need_training(node, 3)
        tensor: _Tensor = x
        return self._add(node, DropPath(p), [x]) if p else tensor

    def _need_training(self, node: fx.Node, position: int) -> None:
        """Refuse what is random in evaluation as well, or never."""
        flags = []
        for one in self.modes[node]:
            place = one.args[position] if len(one.args) > position else None
            flags.append(one.kwargs.get("training", place))
        if flags not in ([True, False], [True]):
            raise Refused(f"`{_shown(node)}` does not depend on whether the module trains")

    def _on_softmax(self, node: fx.Node, x: Any, dim: int, **_: Any) -> _Tensor:
        return self._add(node, layer_of(nn.Softmax(dim), self._volume_of(x)), [x])


def _is_row(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(
        kind, nn.Sequential | nn.ModuleList | nn.ModuleDict
    )


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _shown(node: fx.Node) -> str:
    target = node.target
    if isinstance(target, str):
        return f"Tensor.{target}" if node.op == "call_method" else target
    place = getattr(target, "__module__", "") or ""
    place = {"_operator": "operator", "torch._C._nn": "torch.nn.functional"}.get(place, place)
    name = getattr(target, "__name__", str(target))
    return f"{place}.{name}" if place else f"torch.{name}"


def _place(node: fx.Node) -> str:
    """Where in the module a node is."""
    if node.op == "call_module":
        return str(node.target)
    stack = node.meta.get("nn_module_stack") or {}
    return [*stack][-1] if stack and [*stack][-1] else "forward"
