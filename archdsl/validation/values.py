"""Values that a module passes around while it is run without torch: arguments and tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Protocol, TypeAlias

#: An argument in a form that can be compared: types count, so True is not 1 and 1 is not 1.0.
Frozen: TypeAlias = Any
#: The arguments of a call by name, defaults filled in.
Arguments: TypeAlias = dict[str, Frozen]


class Trace(Protocol):
    """Records the operations between tensors."""

    def operate(self, function: str, *arguments: Frozen) -> Tensor:
        """The result of a function of tensors, each frozen as ``("tensor", id)``."""
        ...


def freeze(value: Any) -> Frozen:
    """An argument in a form that can be compared and hashed."""
    kind = type(value)
    if kind is int or kind is str or value is None:
        return value
    if kind is bool:
        return ("bool", value)
    if kind is float:
        return ("float", repr(value))
    if kind is tuple or kind is list:
        return ("tuple", *[freeze(item) for item in value])
    if kind is Tensor:
        return ("tensor", value.id)
    if isinstance(value, int):  # a product, written out or not
        return int(value)
    if isinstance(value, slice):
        return ("slice", freeze(value.start), freeze(value.stop), freeze(value.step))
    if (frozen := getattr(value, "frozen", None)) is not None:
        return frozen
    raise TypeError(f"{value!r} is not an argument of a layer")


def freeze_square(value: Any) -> Frozen:
    """An argument for all axes or sides, in which one number stands for equal ones."""
    frozen = freeze(value)
    if type(frozen) is tuple and frozen[0] == "tuple" and len(set(frozen[1:])) == 1:
        return frozen[1]
    return frozen


def shown(value: Frozen) -> str:
    """A frozen argument as Python would write it."""
    match value:
        case ("bool" | "tensor", inner):
            return str(inner)
        case ("float", text):
            return str(text)
        case ("tuple", *items):
            return f"({', '.join(map(shown, items))}{',' * (len(items) == 1)})"
        case ("module", callee, arguments):
            return f"{callee}({', '.join(f'{name}={shown(item)}' for name, item in arguments)})"
        case _:
            return repr(value)


def _refuse(what: str) -> Callable[..., NoReturn]:
    def refuse(self: object, *_: object) -> NoReturn:
        raise TypeError(f"{what}, which only torch can tell")

    return refuse


def _refuse_in_place(self: object, other: object) -> NoReturn:
    raise TypeError("a tensor is written over in place, as other readers of it would see")


def _binary(operator: str) -> Callable[[Tensor, object], Any]:
    def operate(self: Tensor, other: object) -> Any:
        if type(other) is not Tensor:
            return NotImplemented
        return self.trace.operate(operator, ("tensor", self.id), ("tensor", other.id))

    return operate


class Tensor:
    """What flows through a network: the number of a value, and the trace that records its use.

    It has the few operations that may be in a ``forward``. Whatever else a module asks of it is an
    error at the line that asks.
    """

    __slots__ = ("id", "trace")

    def __init__(self, trace: Trace, id: int) -> None:
        self.trace = trace
        self.id = id

    __add__ = _binary("+")
    __sub__ = _binary("-")
    __mul__ = _binary("*")
    __truediv__ = _binary("/")
    __matmul__ = _binary("@")
    __iadd__ = __isub__ = __imul__ = __itruediv__ = __imatmul__ = _refuse_in_place
    __bool__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse("a tensor decides")
    __len__ = __iter__ = __index__ = _refuse("the size of a tensor decides")
    __hash__ = object.__hash__

    def __getitem__(self, index: object) -> Tensor:
        return self.trace.operate("[]", ("tensor", self.id), freeze(index))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return flatten(self, start_dim, end_dim)

    def __getattr__(self, name: str) -> Callable[..., Tensor]:
        """A method that the definition of a merge may call; any other makes the graphs differ."""
        if name.startswith("_"):
            raise AttributeError(f"a tensor has no {name}")

        def method(*args: object, **kwargs: object) -> Tensor:
            given = (*map(freeze, args), *((key, freeze(kwargs[key])) for key in sorted(kwargs)))
            return self.trace.operate(f".{name}", ("tensor", self.id), *given)

        return method


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """What ``torch.flatten``, ``nn.Flatten`` and ``x.flatten`` do."""
    dims = freeze(start_dim), freeze(end_dim)
    return x.trace.operate("flatten", ("tensor", x.id), *(() if dims == (1, -1) else dims))


class ParameterValue:
    """A trainable tensor; ``start`` is the function that filled it last, and its arguments."""

    __slots__ = ("start",)

    def __init__(self, data: object = None, requires_grad: bool = True) -> None:
        self.start: tuple[str, Arguments] | None = None


class ConstantValue:
    """A tensor that a module makes itself, such as ``torch.ones(3)``; its numbers are unknown."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __mul__(self, _: float) -> ConstantValue:
        return ConstantValue()

    __rmul__ = __mul__
