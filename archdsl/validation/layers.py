"""Stand-ins for layers: what each was called with, and where; their insides are not examined."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any, ClassVar

from archdsl.validation.errors import StepMismatchError
from archdsl.validation.modules import Module
from archdsl.validation.signatures import SQUARE, Signature, buffers_of, parameters_of
from archdsl.validation.values import (
    Arguments,
    Frozen,
    ParameterValue,
    Tensor,
    Trace,
    flatten,
    freeze,
    freeze_square,
)


def _place_of(frame: FrameType) -> tuple[CodeType, int]:
    return frame.f_code, frame.f_lasti


class LayerStandIn(Module):
    """A layer: what it was called with, where in the module, and its place in the network."""

    callee: ClassVar[str]
    signature: ClassVar[Signature]
    #: The names of parameters and buffers that may be read even if this layer does not have them.
    may_have: ClassVar[frozenset[str]] = frozenset(
        ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        values = self.__dict__
        bound = self.signature(*args, **kwargs)
        values["bound"] = bound
        values["arguments"] = freeze_all(bound)
        values["place"] = _place_of(sys._getframe(1))
        values["_modules"] = {}
        values["_parameters"] = None
        #: The path by which the Model knows it; None for a layer that belongs to no node.
        values["path"] = None

    @property
    def line(self) -> int | None:
        """The line of the module that made it, searched from the first: rarely asked for."""
        code, instruction = self.__dict__["place"]
        return next((n for a, b, n in code.co_lines() if a <= instruction < b), None)

    def __setattr__(self, name: str, value: Any) -> None:
        raise StepMismatchError(f"`{name}` of a {self.callee} is changed", line=self.line)

    def __getattr__(self, name: str) -> Any:
        parameters = self.own_parameters()
        if name in parameters:
            return parameters[name]
        bound = self.__dict__["bound"]
        if name in self.may_have:
            return None
        if name in bound:
            return bound[name]
        raise AttributeError(f"{self.callee} has no attribute `{name}`")

    def __call__(self, x: Any) -> Any:
        if type(x) is not Tensor:
            raise TypeError(f"{self.callee} is given {x!r}")
        path = self.path
        if path is None:
            return self._pass(x)
        return x.trace.operate(path, x.id)

    @property
    def is_passing(self) -> bool:  # type: ignore[override]
        return self.callee == "nn.Identity"

    def _pass(self, x: Tensor) -> Tensor:
        """The result of a layer that is not a node of the Model, but may be between two."""
        if self.is_passing:
            return x
        if self.callee == "nn.Flatten":
            return flatten(x, **self.bound)
        raise StepMismatchError(
            f"a {self.callee} is applied that the network does not have", line=self.line
        )

    @property
    def frozen(self) -> Frozen:
        """The layer as an argument of another one."""
        return ("module", self.callee, tuple(self.arguments.items()))

    def own_parameters(self) -> dict[str, ParameterValue]:
        # Most networks do not mention them: they are made when they are asked for.
        found: dict[str, ParameterValue] | None = self.__dict__["_parameters"]
        if found is None:
            names = self.parameter_names()
            found = self.__dict__["_parameters"] = {name: ParameterValue() for name in names}
        return found

    def parameter_names(self) -> tuple[str, ...]:
        return parameters_of(self.callee.removeprefix("nn."), self.bound)

    def own_buffers(self) -> tuple[str, ...]:
        return buffers_of(self.bound)

    @property
    def has_state(self) -> bool:
        return bool(self.parameter_names() or self.own_buffers())


class Helper(LayerStandIn):
    """A layer whose class its definition brings along; its ``forward`` is not examined.

    The constructor of the class has run, so its parameters and the modules in it are there.
    ``pieces`` is how many results it returns, where there is more than one.
    """

    original: ClassVar[type[Module]]
    pieces: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        values = self.__dict__
        values["place"] = _place_of(sys._getframe(1))
        made = self.original(*args, **kwargs)
        values["_modules"] = made._modules
        values["_parameters"] = {n: p for n, p in made.own_parameters().items() if p is not None}
        values["buffers"] = made.own_buffers()
        values["pieces"] = 0

    def __call__(self, x: Any) -> Any:
        result = super().__call__(x)
        if not self.pieces:
            return result
        trace: Trace = result.trace
        return tuple(trace.operate("piece", result.id, index) for index in range(self.pieces))

    def parameter_names(self) -> tuple[str, ...]:
        return tuple(self.__dict__["_parameters"])

    def own_buffers(self) -> tuple[str, ...]:
        buffers: tuple[str, ...] = self.__dict__["buffers"]
        return buffers

    @property
    def has_state(self) -> bool:
        return bool(self.state_keys())


def freeze_all(bound: Mapping[str, Any]) -> Arguments:
    """The arguments of a layer in a form that can be compared."""
    return {
        name: value
        if type(value) is int
        else freeze_square(value)
        if name in SQUARE
        else freeze(value)
        for name, value in bound.items()
    }
