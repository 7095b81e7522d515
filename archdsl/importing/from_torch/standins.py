"""What flows through a module that is followed: tensors that know their sizes and no numbers.

Sizes are numbers, so that code may count and decide by them; how many images there are is the one
that a spec does not know. Code that asks for it is noticed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx

#: How many images flow through: a prime that no size of a network has, so that a size with it as a
#: factor is of the batch. The proof runs other numbers of images.
BATCH = 1013
#: Where a node keeps its fake value.
VALUE = "value"
UNKNOWN = object()
#: What is asked of tensors and is no number.
_FACTS = torch.Size | torch.dtype | torch.device | torch.layout
#: What a stand-in holds itself.
_OWN = ("tracer", "node", "value")


def value_of(node: fx.Node) -> Any:
    """What a node gives, with sizes and no numbers; None where that is not known."""
    found = node.meta.get(VALUE)
    return None if found is UNKNOWN else found


def results_of(graph: fx.Graph) -> list[tuple[str | None, Any]]:
    """What a network returns, in a row, each with the name that it has there."""
    (found,) = (node.args[0] for node in graph.nodes if node.op == "output")
    return [*_results(found, None)]


def _results(found: Any, name: str | None) -> Iterator[tuple[str | None, Any]]:
    if isinstance(found, fx.Node) and isinstance(found.target, type):  # a named tuple
        fields = getattr(found.target, "_fields", ())
        given = dict(zip(fields, found.args, strict=False)) | {**found.kwargs}
        found = {field: given.get(field) for field in fields} if fields else (*found.args,)
    if isinstance(found, dict):
        for key, value in found.items():
            yield from _results(value, str(key))
    elif isinstance(found, tuple | list):
        for value in found:
            yield from _results(value, None)
    else:
        yield name, found


def is_same_tensor(one: fx.Node, other: fx.Node) -> bool:
    """Whether two nodes give one and the same tensor."""
    found = value_of(one)
    return isinstance(found, Tensor) and found is value_of(other)


def is_fact(value: Any) -> bool:
    return isinstance(value, bool | int | _FACTS)


class CannotFollow(Exception):
    """What code does that a spec could not."""


class Count(int):
    """A number of images, or one that depends on it."""

    #: Who is told that code decides by it.
    tell: Callable[[str], None]

    def _asked(self, other: object, found: bool) -> bool:
        if not isinstance(other, Count):
            self.tell("it decides by how many images there are")
        return found

    def __eq__(self, other: object) -> bool:
        return self._asked(other, int.__eq__(self, other) is True)

    def __ne__(self, other: object) -> bool:
        return self._asked(other, int.__eq__(self, other) is not True)

    def __lt__(self, other: int) -> bool:
        return self._asked(other, int.__lt__(self, other))

    def __le__(self, other: int) -> bool:
        return self._asked(other, int.__le__(self, other))

    def __gt__(self, other: int) -> bool:
        return self._asked(other, int.__gt__(self, other))

    def __ge__(self, other: int) -> bool:
        return self._asked(other, int.__ge__(self, other))

    def __bool__(self) -> bool:
        return self._asked(None, int(self) != 0)

    def __hash__(self) -> int:
        return int.__hash__(self)


def _arithmetic(name: str) -> Callable[[Count, int], Any]:
    plain = getattr(int, name)

    def compute(self: Count, other: int) -> Any:
        found = plain(int(self), other)
        return counted(found, self.tell) if type(found) is int else found

    return compute


for _name in ("add", "sub", "mul", "floordiv", "mod"):
    for _side in ("", "r"):
        setattr(Count, f"__{_side}{_name}__", _arithmetic(f"__{_side}{_name}__"))


def counted(value: int, tell: Callable[[str], None]) -> Count:
    found = Count(value)
    found.tell = tell
    return found


def shown_fact(value: Any, tell: Callable[[str], None]) -> Any:
    """A fact as code sees it: a size that is a multiple of the batch is one of it."""
    if isinstance(value, torch.Size):
        return torch.Size([shown_fact(size, tell) for size in value])
    if type(value) is int and value and value % BATCH == 0:
        return counted(value, tell)
    return value


class StandIn(fx.Proxy):
    """A tensor, or a tuple of them, whose sizes are known."""

    def __getattr__(self, name: str) -> Any:
        if name in ("_is_param", "_is_buffer"):  # which `isinstance(x, nn.Parameter)` asks for
            return False
        found = value_of(self.node)
        if isinstance(found, Tensor) and not name.startswith("_"):
            try:
                fact = getattr(found, name)
            except (AttributeError, RuntimeError):
                return super().__getattr__(name)
            if is_fact(fact):
                return shown_fact(fact, self.tracer.tell)  # type: ignore[attr-defined]
            if isinstance(fact, Tensor):  # x.T
                return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return super().__getattr__(name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What `isinstance` sees; `type` tells a stand-in."""
        return Tensor if isinstance(value_of(self.node), Tensor) else StandIn

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _OWN:
            raise CannotFollow(f"it sets `{name}` of a tensor")
        super().__setattr__(name, value)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise CannotFollow("it writes into a part of a tensor")

    def __len__(self) -> int:
        found = value_of(self.node)
        if isinstance(found, Tensor) and found.ndim and found.shape[0] % BATCH == 0:
            raise CannotFollow("it decides by how many images there are")
        if isinstance(found, Tensor | tuple | list):
            return len(found)
        return super().__len__()

    def __iter__(self) -> Iterator[Any]:
        found = value_of(self.node)
        if isinstance(found, tuple | list):
            return iter([operator.getitem(self, index) for index in range(len(found))])
        return super().__iter__()


def _in_place(name: str) -> Callable[[StandIn, Any], Any]:
    target = getattr(operator, name)

    def compute(self: StandIn, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", target, (self, other), {})

    return compute


# A proxy of `torch.fx` takes `x += y` for `x = x + y`, and other names of `x` for what it was.
for _name in ("iadd", "isub", "imul", "imatmul", "itruediv", "ifloordiv", "ipow"):
    setattr(StandIn, f"__{_name}__", _in_place(_name))
