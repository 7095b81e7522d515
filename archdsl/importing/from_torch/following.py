"""A module followed by ``torch.fx`` for an input of known sizes.

What flows through the module is a stand-in that knows its sizes: ``x.shape`` and ``x.size(0)`` give
numbers, so that loops over sizes, asserts about them and products of them run as they are. The
values come from fake tensors, which have sizes and no numbers. ``torch.export`` would do as much,
but breaks modules into operators: a layer norm and a convolution would have to be found again,
without the module that they were. What asks for numbers, as ``if x.sum() > 0``, stays a fault.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.node import map_arg

from archdsl.importing.from_torch.helpers import helper_of
from archdsl.importing.from_torch.untouched import untouched
from archdsl.layers.volume import Volume

#: How many images flow through: a prime that no size of a network has, so that a size with it as a
#: factor is of the batch. The proof runs other numbers of images.
BATCH = 1013
#: Where a node keeps its fake value.
VALUE = "value"
_UNKNOWN = object()
#: What is asked of tensors and is no number.
_FACTS = torch.Size | torch.dtype | torch.device | torch.layout


def follow(module: nn.Module, input: Volume) -> fx.Graph:
    """The calls of a module in its mode, each with its fake value.

    Errors: whatever the module's code raises for stand-ins.
    """
    log = logging.getLogger("torch._subclasses.fake_tensor")
    names = {*vars(module)}
    is_disabled, log.disabled = log.disabled, True  # sizes that do not fit are told elsewhere
    try:
        with untouched(module):  # counts of batches are real, though nothing else is
            return _Tracer(module, input).trace(module)
    finally:
        log.disabled = is_disabled
        for name in vars(module).keys() - names:  # tensors that its code makes
            delattr(module, name)


def value_of(node: fx.Node) -> Any:
    """What a node gives, with sizes and no numbers; None where that is not known."""
    found = node.meta.get(VALUE)
    return None if found is _UNKNOWN else found


def reads_words(module: nn.Module, input: Volume) -> bool:
    """Whether a module's input are the numbers of words."""
    return input.is_vector and any(isinstance(part, nn.Embedding) for part in module.modules())


class _StandIn(fx.Proxy):
    """A tensor, or a tuple of them, whose sizes are known."""

    def __getattr__(self, name: str) -> Any:
        found = value_of(self.node)
        if isinstance(found, Tensor) and not name.startswith("_"):
            try:
                fact = getattr(found, name)
            except (AttributeError, RuntimeError):
                return super().__getattr__(name)
            if isinstance(fact, bool | int | _FACTS):
                return fact
            if isinstance(fact, Tensor):  # x.T
                return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return super().__getattr__(name)

    def __len__(self) -> int:
        found = value_of(self.node)
        if isinstance(found, Tensor | tuple | list):
            return len(found)
        return super().__len__()

    def __iter__(self) -> Iterator[Any]:
        found = value_of(self.node)
        if isinstance(found, tuple | list):
            return iter([operator.getitem(self, index) for index in range(len(found))])
        return super().__iter__()


class _Tracer(fx.Tracer):
    def __init__(self, module: nn.Module, input: Volume) -> None:
        super().__init__()
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        like = next(module.parameters(), torch.empty(0))
        with self.mode:
            dtype = torch.long if reads_words(module, input) else like.dtype
            self.images = torch.empty(BATCH, *input.torch_sizes, dtype=dtype)
        self.is_computing = False
        self.has_images = False

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _StandIn(node, self)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        node.meta[VALUE] = self._value(node)
        return node

    def create_proxy(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        proxy = super().create_proxy(kind, *args, **kwargs)
        value = proxy.node.meta[VALUE]
        if kind in ("call_method", "call_function") and _is_fact(value):
            self.graph.erase_node(proxy.node)
            return value
        return proxy

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return helper_of(m) is not None or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if self.is_computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self.is_computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def _value(self, node: fx.Node) -> Any:
        if self.is_computing or node.op == "output":
            return _UNKNOWN
        try:
            args: Any = map_arg(node.args, _need_value)
            kwargs: Any = map_arg(node.kwargs, _need_value)
            self.is_computing = True
            with self.mode:
                return self._computed(node, args, kwargs)
        except Exception:  # whatever a call does with sizes that do not fit: it stays unknown
            return _UNKNOWN
        finally:
            self.is_computing = False

    def _computed(self, node: fx.Node, args: Any, kwargs: Mapping[str, Any]) -> Any:
        target: Any = node.target
        match node.op:
            case "placeholder":
                if self.has_images:
                    return _UNKNOWN
                self.has_images = True
                return self.images
            case "get_attr":
                path, _, name = target.rpartition(".")
                return getattr(self.root.get_submodule(path), name)
            case "call_module":
                return self.root.get_submodule(target).forward(*args, **kwargs)
            case "call_method":
                first, *rest = args
                return getattr(first, target)(*rest, **kwargs)
            case _:
                return target(*args, **kwargs)


def _need_value(node: fx.Node) -> Any:
    value = node.meta[VALUE]
    if value is _UNKNOWN:
        raise LookupError(node.name)
    return value


def _is_fact(value: Any) -> bool:
    return isinstance(value, bool | int | _FACTS)
