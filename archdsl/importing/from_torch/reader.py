"""The nodes of a trace as operations: modules are layers, and functions what reads them makes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from torch import Tensor, fx, nn

from archdsl.elaborate.names import can_refer_to
from archdsl.importing.errors import Refused
from archdsl.importing.from_torch import views
from archdsl.importing.from_torch.externs import extern_of
from archdsl.importing.from_torch.helpers import drops_samples
from archdsl.importing.from_torch.modules import ELEMENTWISE, FUNCTIONS, layer_of
from archdsl.importing.from_torch.standins import results_of, value_of
from archdsl.importing.from_torch.values import Attribute, RefusedBefore, Unfinished
from archdsl.importing.from_torch.views import View
from archdsl.importing.graph import INPUT, SourceLayer, SourcePart, is_input
from archdsl.layers import Layer, LayerError
from archdsl.layers.dense import Linear
from archdsl.layers.rearrangement import ChannelShuffle, PixelUnshuffle
from archdsl.layers.regularization import DropPath
from archdsl.layers.volume import MOST_AXES, Volume

#: Reads a call: the reader, the node, and what was given.
Handler: TypeAlias = Callable[..., Any]


class Handlers(dict[object, Handler]):
    """What reads each function, by its name or itself."""

    def on(self, *names: object) -> Callable[[Handler], Handler]:
        """Enter what is decorated under some names."""

        def enter(handler: Handler) -> Handler:
            self.update(dict.fromkeys(names, handler))
            return handler

        return enter


#: Modules over the last axis, whatever is before it.
_OVER_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm)
_OVER_AXIS = (nn.Softmax, nn.LogSoftmax)
_ALONG = (*_OVER_LAST, *_OVER_AXIS)
_RESHAPES = (nn.Flatten, nn.Unflatten)
#: Where functions of PyTorch and torchvision are; others of the same name do something else.
_HOMES = ("torch", "torchvision", "_operator", "builtins", "math")


class TraceReader:
    """Turns the nodes of a trace into operations."""

    def __init__(
        self,
        module: nn.Module,
        inputs: Mapping[str, Volume],
        modes: Mapping[fx.Node, tuple[fx.Node, ...]],
        handlers: Mapping[object, Handler],
        externs: Mapping[str, str],
    ) -> None:
        self.module = module
        self.inputs = inputs
        self.modes = modes
        self.handlers = handlers
        #: What makes the modules that are not looked into, by their paths.
        self.externs = externs
        self.operations: list[SourceLayer] = []
        self.values: dict[str, Any] = {}
        #: What products of two matrices are, should a number be a factor of them.
        self.products: dict[View, Unfinished] = {}
        self.reasons: list[str] = []
        self.output = INPUT
        self.heads: tuple[int, ...] = ()
        #: What the results are returned by.
        self.names: tuple[str | None, ...] = ()
        self.called: set[str] = set()
        #: Whether a layer adds up in another order than the original.
        self.is_rounded = False

    def layers(self) -> tuple[SourceLayer, ...]:
        """All operations; a module whose functions make a single layer is that layer."""
        holds: dict[str, int] = {}
        for operation in self.operations:
            for scope in operation.scopes:
                holds[scope.path] = holds.get(scope.path, 0) + 1
        return tuple(_without_own_part(operation, holds) for operation in self.operations)

    def read(self, node: fx.Node) -> None:
        """Read one node; what cannot be said is collected, and what depends on it is left out."""
        arguments = [*node.args, *node.kwargs.values()]
        if any(self._is_unknown(argument) for argument in arguments):
            return
        try:
            value = self._value(node)
            self._need_sizes(node, value)
        except (Refused, LayerError) as fault:
            at = fault.node if isinstance(fault, RefusedBefore) else node
            self.reasons.append(f"{place_of(at)}: {fault}")
            return
        self.values[node.name] = value

    def _is_unknown(self, argument: Any) -> bool:
        if isinstance(argument, fx.Node):
            return argument.name not in self.values
        if isinstance(argument, list | tuple):
            return any(map(self._is_unknown, argument))
        if isinstance(argument, dict):
            return any(map(self._is_unknown, argument.values()))
        return False

    def _value(self, node: fx.Node) -> Any:
        match node.op:
            case "placeholder":
                name = str(node.target)
                return views.plain(INPUT - [*self.inputs].index(name), self.inputs[name])
            case "output":
                return self._read_output(node)
            case "call_module":
                return self._call_module(node)
            case "get_attr":
                found = value_of(node)
                sizes = tuple(found.shape) if isinstance(found, Tensor) else ()
                return Attribute(str(node.target), sizes)
            case _:
                return self._call_function(node)

    def _need_sizes(self, node: fx.Node, value: Any) -> None:
        """Refuse what was read as something of other sizes than it has."""
        found = value_of(node)
        if not isinstance(value, View) or not isinstance(found, Tensor):
            return
        if tuple(found.shape) != value.sizes:
            raise Refused(f"`{shown(node)}` that stretches a tensor is not in the language")

    def _read_output(self, node: fx.Node) -> None:
        results = results_of(node.graph)
        found: list[View] = []
        for _, given in results:
            one = self._known(given)
            if isinstance(one, Unfinished):
                raise RefusedBefore(one)
            if not isinstance(one, View):
                raise Refused("what it returns are not tensors alone")
            if one.is_last and not one.is_first:
                raise Refused("it returns a tensor whose channels are not its second axis")
            found.append(self.first(node, one))
        if any(is_input(view.id) for view in found):
            raise Refused("it returns what flows into it")
        self.output, *heads = (view.id for view in found)
        self.heads = tuple(heads)
        self.names = tuple(name for name, _ in results)

    def named_results(self) -> dict[str, int]:
        """The results by name: that which they are returned by, or that of the part they are of."""
        found: dict[str, int] = {}
        results = (self.output, *self.heads)
        for number, (given, result) in enumerate(zip(self.names, results, strict=True), start=1):
            operation = self.operations[result]
            path = operation.scopes[0].path if operation.scopes else operation.path
            name = re.sub(r"\W", "_", given or path.partition(".")[0], flags=re.ASCII)
            if not can_refer_to(name) or name in found:
                name = f"out{number}"
            found[name] = result
        return found

    def _known(self, argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            return self.values[argument.name]
        if isinstance(argument, list | tuple):
            known = map(self._known, argument)
            return tuple(known) if isinstance(argument, tuple) else [*known]
        return argument

    # ── Modules ──────────────────────────────────────────────────────────────────────────────

    def _call_module(self, node: fx.Node) -> Any:
        path = str(node.target)
        module = self.module.get_submodule(path)
        args: tuple[Any, ...] = self._known(node.args)
        kwargs = {key: self._known(value) for key, value in node.kwargs.items()}
        state = bool([*module.parameters(), *module.buffers()])
        if path in self.externs:
            return self._extern(node, path, (*args, *kwargs.values()))
        handler = self.handlers.get(type(module))
        if handler is not None:
            _need_arguments(handler, node, self, node, module, *args, **kwargs)
            return handler(self, node, module, *args, **kwargs)
        given = (*args, *kwargs.values())
        if len(given) != 1:
            raise Refused(f"`{shown(node)}` with {len(given)} arguments is not in the language")
        return self.apply(node, module, given[0], path, state=state)

    def _extern(self, node: fx.Node, path: str, given: Sequence[Any]) -> View:
        """A module that is said by what makes it, for one tensor, and with one result."""
        if len(given) != 1:
            raise Refused(f"an `extern` with {len(given)} arguments is not in the language")
        view = self.first(node, given[0])
        found = value_of(node)
        is_tensor = isinstance(found, Tensor) and found.is_floating_point()
        if not is_tensor or not 2 <= found.ndim <= MOST_AXES + 2:
            raise Refused("it gives no volume, or none that is known without numbers")
        module = self.module.get_submodule(path)
        _, channels, *sizes = found.shape
        volume = Volume.along(sizes, channels)
        layer = extern_of(self.externs[path], module, view.volume, volume)
        state = bool([*module.parameters(), *module.buffers()])
        return self.add(node, layer, [view], path, state=state)

    def apply(
        self,
        node: fx.Node,
        module: nn.Module,
        x: Any,
        path: str = "",
        *,
        state: bool = False,
        keys: tuple[str, ...] = (),
    ) -> View:
        """What a module gives for a tensor that is seen in some way."""
        view = self.view_of(x)
        if isinstance(module, nn.Identity) or (isinstance(module, nn.Dropout) and not module.p):
            return view
        if drops_samples(module):
            rate = float(module.drop_prob)  # type: ignore[arg-type]
            return self.drop_samples(node, view, rate, path)
        if isinstance(module, _RESHAPES):
            return self.reshape(node, view, path)
        if not self._is_direct(module, view):
            view = self.first(node, view)
            if type(module) in _ALONG and not self._is_direct(module, view):
                raise Refused(f"{_along(module)} of {view.volume} is not in the language")
        layer = layer_of(module, view.volume)
        if isinstance(layer, Linear):
            self.is_rounded = True  # it is a convolution
        made = self.add(node, layer, [view], path, state=state, keys=keys)
        return made if view.is_first else views.with_volume(view, made.id, made.volume)

    def drop_samples(self, node: fx.Node, view: View, rate: float, path: str = "") -> View:
        """Whole samples are dropped, however the tensor is seen."""
        if not rate:
            return view
        if view.axes[0] != views.axes_of(view.volume)[0]:
            raise Refused(f"`{shown(node)}` of positions is not in the language")
        made = self.add(node, DropPath(rate), [view], path)
        return views.with_volume(view, made.id, made.volume)

    def _is_direct(self, module: nn.Module, view: View) -> bool:
        """Whether what a module does to each number, or to all channels, is so in this view."""
        if type(module) in _OVER_LAST:
            return view.channel_axis() == len(view.axes) - 1
        if isinstance(module, _OVER_AXIS):
            dim = module.dim
            return dim is not None and view.channel_axis() == dim % len(view.axes)
        is_one_slope = isinstance(module, nn.PReLU) and module.num_parameters == 1
        return is_one_slope or type(module) in ELEMENTWISE

    # ── Tensors ──────────────────────────────────────────────────────────────────────────────

    def view_of(self, value: Any) -> View:
        """A value that is the result of a layer."""
        if isinstance(value, Unfinished):
            raise RefusedBefore(value)
        if isinstance(value, Attribute):
            raise Refused(f"the parameter `{value.path}` belongs to no layer")
        if not isinstance(value, View):
            raise Refused("it reads what is not the result of a layer")
        return value

    def first(self, node: fx.Node, x: Any) -> View:
        """A tensor with its axes in the order of its volume, after a layer for that if need be."""
        view = self.view_of(x)
        if view.is_first:
            return view
        found = views.word_of(view) or views.reshape_of(view)
        squares = views.squares_of(view)
        if squares is not None:
            made = self.add(node, PixelUnshuffle(squares), [view])
            return self.add(node, ChannelShuffle(view.volume.channels), [made])
        if found is None or found[1]:
            raise Refused(
                "it reads a tensor that was permuted or reshaped as the language cannot say"
            )
        return self.add(node, found[0], [view])

    def reshape(self, node: fx.Node, view: View, path: str = "") -> View:
        """A tensor along other axes, of the sizes that the node has."""
        found = value_of(node)
        seen = views.reshaped(view, found.shape) if isinstance(found, Tensor) else None
        if seen is None:
            raise Refused(f"`{shown(node)}` to such a shape is not in the language")
        word = views.word_of(seen)
        if word is None:
            return seen
        layer, is_last = word
        made = self.add(node, layer, [view], path)
        return views.last(made.id, made.volume) if is_last else made

    def add(
        self,
        node: fx.Node,
        layer: Layer,
        inputs: Sequence[View],
        path: str = "",
        *,
        state: bool = False,
        keys: tuple[str, ...] = (),
        fixed: tuple[str, ...] = (),
        is_turned: bool = False,
    ) -> View:
        """The result of a layer, with its axes in the order of its volume."""
        volumes = tuple(view.volume for view in inputs)
        layer = layer.fitted(volumes)
        stack = node.meta.get("nn_module_stack") or {}
        scopes = tuple(
            SourcePart(name, kind.__qualname__, _is_row(kind))
            for name, (_, kind) in stack.items()
            # A second call of a leaf is `relu@1`; what calls a function is a part around it.
            if name and (node.op != "call_module" or name.partition("@")[0] != node.target)
        )
        owned = keys or ((path,) if state else ())
        again = {key in self.called for key in owned}
        if len(again) > 1:
            raise Refused("a layer with some weights of another is not in the language")
        self.called.update(owned)
        made = SourceLayer(
            len(self.operations),
            layer,
            tuple(view.id for view in inputs),
            layer.infer(volumes),
            scopes,
            path,
            state,
            is_of_training=node.op != "output" and len(self.modes[node]) == 1,
            keys=keys,
            is_turned=is_turned,
            fixed=fixed,
        )
        self.operations.append(made)
        return views.plain(made.id, made.volume)

    # ── Functions ────────────────────────────────────────────────────────────────────────────

    def _call_function(self, node: fx.Node) -> Any:
        target = node.target
        args: tuple[Any, ...] = self._known(node.args)
        kwargs = {key: self._known(value) for key, value in node.kwargs.items()}
        if isinstance(target, type) and issubclass(target, tuple):
            return None  # results by name, which are read where they are returned
        name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        home = "" if isinstance(target, str) else (getattr(target, "__module__", None) or "")
        if home and home.partition(".")[0] not in _HOMES:
            raise Refused(f"`{shown(node)}` is not in the language")
        if target is getattr:
            name, args = f"get_{args[1]}", args[:1]
        if name in self.handlers:
            return self._handled(name, node, args, kwargs)
        if name in FUNCTIONS:
            x, *rest = args or (kwargs.pop("input"),)
            return self.apply(node, module_of(name, node, rest, kwargs), x)
        raise Refused(f"`{shown(node)}` is not in the language")

    def _handled(
        self, name: str, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if "input" in kwargs:
            args = (kwargs.pop("input"), *args)
        handler = self.handlers[name]
        _need_arguments(handler, node, self, node, *args, **kwargs)
        return handler(self, node, *args, **kwargs)

    def need_training(self, node: fx.Node, position: int) -> None:
        """Refuse what is random in evaluation as well, or never."""
        flags = []
        for one in self.modes[node]:
            place = one.args[position] if len(one.args) > position else None
            flags.append(one.kwargs.get("training", place))
        if flags not in ([True, False], [True]):
            raise Refused(f"`{shown(node)}` does not depend on whether the module trains")


def module_of(
    name: str, node: fx.Node, given: Sequence[Any], named: Mapping[str, Any]
) -> nn.Module:
    """The module that does the same as a function with these arguments behind the tensor.

    Errors:
        Refused: where there is none.
    """
    try:
        return FUNCTIONS[name](*given, **{k: v for k, v in named.items() if k != "inplace"})
    except (KeyError, TypeError, ValueError):
        raise Refused(f"`{shown(node)}` with such arguments is not in the language") from None


def _need_arguments(handler: Handler, node: fx.Node, *args: Any, **kwargs: Any) -> None:
    try:
        inspect.signature(handler).bind(*args, **kwargs)
    except TypeError:
        raise Refused(f"`{shown(node)}` with such arguments is not in the language") from None


def _without_own_part(operation: SourceLayer, holds: Mapping[str, int]) -> SourceLayer:
    if not operation.scopes:
        return operation
    *around, own = operation.scopes
    path = own.path.partition("@")[0]
    is_own = not own.is_row and operation.path in ("", path)
    if holds[own.path] > 1 or not is_own:
        return operation
    return replace(operation, scopes=tuple(around), path=path)


def _along(module: nn.Module) -> str:
    name = f"`nn.{type(module).__name__}`"
    if isinstance(module, _OVER_AXIS):
        return f"{name} with dim={module.dim}"
    return f"{name} over the last axis"


def _is_row(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(
        kind, nn.Sequential | nn.ModuleList | nn.ModuleDict
    )


def shown(node: fx.Node) -> str:
    """What a node calls, for people."""
    target = node.target
    if isinstance(target, str):
        return f"Tensor.{target}" if node.op == "call_method" else target
    place = getattr(target, "__module__", "") or ""
    place = {"_operator": "operator", "torch._C._nn": "torch.nn.functional"}.get(place, place)
    name = getattr(target, "__name__", str(target))
    return f"{place}.{name}" if place else f"torch.{name}"


def place_of(node: fx.Node) -> str:
    """Where in the module a node is."""
    if node.op == "call_module":
        return str(node.target)
    stack = node.meta.get("nn_module_stack") or {}
    return [*stack][-1] if stack and [*stack][-1] else "forward"
