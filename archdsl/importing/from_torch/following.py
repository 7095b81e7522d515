"""A module followed by ``torch.fx`` for an input of known sizes.

What flows through the module is a stand-in that knows its sizes: ``x.shape`` and ``x.size(0)`` give
numbers, so that loops over sizes, asserts about them and products of them run as they are. The
values come from fake tensors, which have sizes and no numbers. ``torch.export`` would do as much,
but breaks modules into operators: a layer norm and a convolution would have to be found again,
without the module that they were. What asks for numbers, as ``if x.sum() > 0``, stays a fault.
"""

from __future__ import annotations

import functools
import logging
import random
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.node import map_arg
from torch.utils import checkpoint

from archdsl.importing.from_torch.arguments import arguments_of
from archdsl.importing.from_torch.helpers import drops_samples, helper_of
from archdsl.importing.from_torch.sizes import Sizes
from archdsl.importing.from_torch.standins import (
    BATCH,
    UNKNOWN,
    VALUE,
    CannotFollow,
    StandIn,
    is_fact,
    shown_fact,
)
from archdsl.importing.from_torch.untouched import untouched
from archdsl.layers.volume import Volume

#: Where an error keeps the module that it is from.
FAILED = "archdsl_path"
#: Where a node keeps how often its value had been written to.
_VERSIONS = "versions"
#: What `torch.utils.checkpoint` does around a part.
_SAVING = re.compile(r"_checkpoint_without_reentrant_generator\w*")
#: What a module holds that its code may count with.
_PLAIN = (bool, int, float, str, bytes, type(None))


def follow(
    module: nn.Module, inputs: Mapping[str, Volume], leaves: Collection[str] = ()
) -> fx.Graph:
    """The calls of a module in its mode, each with its fake value; ``inputs`` are by name.

    Modules whose paths are in ``leaves`` are not looked into.

    Errors: whatever the module's code raises for stand-ins; ``CannotFollow`` for what it does that
    no call tells, such as to draw random numbers by itself.
    """
    log = logging.getLogger("torch._subclasses.fake_tensor")
    is_disabled, log.disabled = log.disabled, True  # sizes that do not fit are told elsewhere
    try:
        words: frozenset[str] = frozenset()
        while True:
            tracer = _Tracer(module, inputs, words, leaves)
            try:
                return _followed(module, tracer)
            except Exception:  # whatever the code does with what are not the numbers of words
                if tracer.words == words:
                    raise
            words = tracer.words
    finally:
        log.disabled = is_disabled


def _followed(module: nn.Module, tracer: _Tracer) -> fx.Graph:
    words = tracer.words
    with untouched(module), _no_backward_of_its_own(), torch.enable_grad():
        before, chance = _plain_attributes(module), _places_of_chance()
        graph = tracer.trace(module)
        after, chance_after = _plain_attributes(module), _places_of_chance()
    if tracer.words != words:
        raise CannotFollow("an input holds the numbers of words")
    faults = [*tracer.faults]
    if chance != chance_after:
        faults.append("it draws random numbers by itself")
    faults += [
        f"{path or 'forward'}: it changes its `{name}`"
        for path, name in dict.fromkeys([*before, *after])
        if _differs(before.get((path, name), UNKNOWN), after.get((path, name), UNKNOWN))
    ]
    if faults:
        raise CannotFollow("; ".join(dict.fromkeys(faults)))
    return graph


def _differs(one: Any, other: Any) -> bool:
    return one is not other and not (type(one) is type(other) and one == other)


def _plain_attributes(module: nn.Module) -> dict[tuple[str, str], Any]:
    """The numbers and texts that modules hold beside tensors."""
    return {
        (path, name): value
        for path, inner in module.named_modules()
        for name, value in vars(inner).items()
        if type(value) in _PLAIN
    }


def _places_of_chance() -> list[Any]:
    """Where the generators of random numbers are."""
    found: list[Any] = [torch.get_rng_state().tolist(), random.getstate()]
    if "numpy" in sys.modules:
        _, keys, *others = sys.modules["numpy"].random.get_state()
        found += [keys.tolist(), others]
    return found


@contextmanager
def _no_backward_of_its_own() -> Iterator[None]:
    """Refuse functions with a backward of their own, which a trace would lose.

    Those that only save memory, by running a part again in the backward, run it as it is.
    """
    kind = torch.autograd.Function
    own = vars(kind)["apply"]
    saving = {name: f for name, f in vars(checkpoint).items() if _SAVING.fullmatch(name)}

    def apply(cls: type, *args: Any, **_: Any) -> Any:
        if cls is not checkpoint.CheckpointFunction:
            raise CannotFollow(f"`{cls.__qualname__}` has a backward of its own")
        run, _preserves, *given = args
        return run(*given)

    def nothing(*_: Any, **__: Any) -> Iterator[None]:
        yield

    kind.apply = classmethod(apply)
    vars(checkpoint).update(dict.fromkeys(saving, nothing))
    try:
        yield
    finally:
        kind.apply = own
        vars(checkpoint).update(saving)


class _Tracer(fx.Tracer):
    def __init__(
        self,
        module: nn.Module,
        inputs: Mapping[str, Volume],
        words: frozenset[str],
        leaves: Collection[str],
    ) -> None:
        super().__init__()
        self.leaves = leaves
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        self.sizes = Sizes(self.mode)
        like = next(module.parameters(), torch.empty(0))
        #: The inputs that hold the numbers of words, as an embedding reads them.
        self.words = words
        with self.mode:
            self.images = {
                name: torch.empty(
                    BATCH, *volume.torch_sizes, dtype=torch.long if name in words else like.dtype
                )
                for name, volume in inputs.items()
            }
        self.is_computing = False
        #: What the code does that no call tells.
        self.faults: list[str] = []
        #: By the identity of a value, what last wrote to it.
        self.writers: dict[int, fx.Node] = {}

    def tell(self, fault: str) -> None:
        if not self.is_computing:
            path = [*self.module_stack][-1:]
            self.faults.append(f"{path[0]}: {fault}" if path else fault)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return StandIn(node, self)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """The inputs flow in; what else `forward` takes keeps its value."""
        inputs = {name: self.create_proxy("placeholder", name, (), {}) for name in self.images}
        by_place, by_name = arguments_of(self.root, inputs)

        @functools.wraps(root_fn)
        def run(root: nn.Module, *given: Any) -> Any:
            return root_fn(root, *given, **by_name)

        return run, [self.root, *by_place]

    def create_arg(self, a: Any) -> Any:
        return a.node if type(a) is StandIn else super().create_arg(a)

    def create_node(
        self, kind: str, target: Any, args: Any, kwargs: Any, *others: Any, **named: Any
    ) -> fx.Node:
        args, kwargs = map_arg(args, self._written), map_arg(kwargs, self._written)
        node = super().create_node(kind, target, args, kwargs, *others, **named)
        value = node.meta[VALUE] = self._value(node)
        node.meta[_VERSIONS] = _versions(value)
        if kind == "call_method" and value is UNKNOWN and target.endswith("_"):
            self.tell(f"`Tensor.{target}` cannot be followed")
        if isinstance(value, Tensor):
            self.writers[id(value)] = node
            if kind.startswith("call") and value.is_floating_point():
                self._need_usual_mode()
        return node

    def _written(self, node: fx.Node) -> fx.Node:
        """A node that is read, or the one that wrote to its value since."""
        value = node.meta[VALUE]
        if node.meta[_VERSIONS] == _versions(value):
            return node
        writer = self.writers.get(id(value), node)
        if writer.meta[_VERSIONS] != _versions(value):
            self.tell("it reads a tensor of which another one is a part, after that was changed")
        return writer

    def _need_usual_mode(self) -> None:
        if not torch.is_grad_enabled():
            self.tell("it computes without gradients, as under `torch.no_grad()`")
        if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
            self.tell("it computes in another precision, as under `torch.autocast`")

    def create_proxy(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        proxy = super().create_proxy(kind, *args, **kwargs)
        value = proxy.node.meta[VALUE]
        if kind in ("call_method", "call_function") and is_fact(value):
            self.graph.erase_node(proxy.node)
            return shown_fact(value, self.tell)
        return proxy

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_known = helper_of(m) is not None or drops_samples(m)
        is_known |= module_qualified_name in self.leaves
        return is_known or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if self.is_computing:
            return forward(*args, **kwargs)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception as error:  # whatever a module does with what flows through it
            if not hasattr(error, FAILED):
                setattr(error, FAILED, self.path_of_module(m))
            raise

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self.is_computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def _value(self, node: fx.Node) -> Any:
        if self.is_computing or node.op == "output":
            return UNKNOWN
        self._note_words(node)
        try:
            args: Any = map_arg(node.args, _need_value)
            kwargs: Any = map_arg(node.kwargs, _need_value)
            self.is_computing = True
            if node.op == "call_module" and len(args) == 1 and not kwargs:
                known = self.sizes.of(self.root.get_submodule(str(node.target)), *args)
                if known is not None:
                    return known
            with self.mode:
                return self._computed(node, args, kwargs)
        except Exception:  # whatever a call does with sizes that do not fit: it stays unknown
            return UNKNOWN
        finally:
            self.is_computing = False

    def _computed(self, node: fx.Node, args: Any, kwargs: Mapping[str, Any]) -> Any:
        target: Any = node.target
        match node.op:
            case "placeholder":
                return self.images[target]
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

    def _note_words(self, node: fx.Node) -> None:
        """Note the vectors that flow in and that an embedding reads, or what is made of them."""
        if node.op != "call_module":
            return
        if not isinstance(self.root.get_submodule(str(node.target)), nn.Embedding):
            return
        pending, seen = [*node.all_input_nodes], {node}
        while pending:
            at = pending.pop()
            if at not in seen and at.op == "placeholder" and self.images[str(at.target)].ndim == 2:
                self.words |= {str(at.target)}
            pending += [] if at in seen else at.all_input_nodes
            seen.add(at)


def _versions(value: Any) -> tuple[int, ...]:
    """How often each tensor was written to."""
    if isinstance(value, tuple | list):
        return tuple(version for one in value for version in _versions(one))
    return (value._version,) if isinstance(value, Tensor) and not value.is_inference() else ()


def _need_value(node: fx.Node) -> Any:
    value = node.meta[VALUE]
    if value is UNKNOWN:
        raise LookupError(node.name)
    return value
