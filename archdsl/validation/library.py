"""The libraries that a module sees while it is run: stand-ins for torch, and some of Python's.

They are built once; a validation adds what its Models call if the tables here do not have it.
"""

from __future__ import annotations

import builtins
import collections.abc
import dataclasses
import functools
import itertools
import math
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from archdsl.layers import Arg, Call
from archdsl.validation.errors import StepMismatchError
from archdsl.validation.layers import LayerStandIn
from archdsl.validation.modules import Module, ModuleDict, ModuleList, Sequential
from archdsl.validation.signatures import FUNCTIONS, INITIALIZERS, LAYERS, Bound, Signature
from archdsl.validation.values import ConstantValue, Frozen, ParameterValue, Tensor, flatten, freeze


class Library:
    """A module of Python as its attributes, which cannot be changed."""

    def __init__(self, name: str, attributes: Mapping[str, Any]) -> None:
        self.__dict__.update(attributes)
        self.__dict__["_name"] = name

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise StepMismatchError(f"`{self._name}.{name}` is changed")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"`{self._name}.{name}` may not be used in a module")


class _Functions(Library):
    """A library in which any other name is a function of tensors."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"`{self._name}.{name}` may not be used in a module")
        full = f"{self._name}.{name}"
        return LibraryFunction(full, FUNCTIONS.get(full, _as_written))


class Operand(Protocol):
    """What functions of tensors are applied to."""

    def call_function(self, name: str, bound: Bound) -> Any: ...


class LibraryFunction:
    """A function of tensors; they decide what it returns."""

    def __init__(self, name: str, signature: Signature) -> None:
        self.name = name
        self.signature = signature

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.signature(*args, **kwargs)
        for value in bound.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                if isinstance(item, Tensor):
                    frozen = [freeze(value) for value in bound.values()]
                    return item.trace.operate(self.name, *frozen)
                if hasattr(item, "call_function"):
                    return item.call_function(self.name, bound)
        raise TypeError(f"{self.name} is called without a tensor")


def _as_written(*args: Any, **kwargs: Any) -> Bound:
    return {str(index): value for index, value in enumerate(args)} | kwargs


def _operator(symbol: str) -> Callable[[Any, Any], Any]:
    functions = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "@": lambda a, b: a @ b,
    }
    return functions[symbol]


class _NoGrad:
    """``torch.no_grad``, as a context or a decorator: it changes no value."""

    def __call__(self, function: Any = None) -> Any:
        return self if function is None else function

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def _same(value: Any) -> Any:
    return value


def _initializer(name: str, signature: Signature) -> Callable[..., ParameterValue]:
    def start(*args: Any, **kwargs: Any) -> ParameterValue:
        tensor, arguments = bind_initializer(signature, args, kwargs)
        if not isinstance(tensor, ParameterValue):
            raise TypeError(f"nn.init.{name} is given {tensor!r}, which is not a parameter")
        tensor.start = (f"nn.init.{name}", arguments)
        return tensor

    return start


def bind_initializer(
    signature: Signature, args: Iterable[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, dict[str, Frozen]]:
    """The tensor that a function of ``nn.init`` fills, and the other arguments."""
    bound = signature(*args, **kwargs)
    tensor = bound.pop(next(iter(bound)))
    return tensor, {name: freeze(value) for name, value in bound.items()}


def layer_class(name: str, signature: Signature) -> type[LayerStandIn]:
    """The stand-in for a layer of ``torch.nn``."""
    attributes = {
        "callee": f"nn.{name}",
        "signature": staticmethod(signature),
        "__module__": __name__,
    }
    return type(name, (LayerStandIn,), attributes)


_LAYERS = {name: layer_class(name, signature) for name, signature in LAYERS.items()}
_INIT = {name: _initializer(name, signature) for name, signature in INITIALIZERS.items()}
_FUNCTIONAL = _Functions("torch.nn.functional", {})
_NN: dict[str, Any] = _LAYERS | {
    "Module": Module,
    "Sequential": Sequential,
    "ModuleList": ModuleList,
    "ModuleDict": ModuleDict,
    "Parameter": ParameterValue,
    "functional": _FUNCTIONAL,
}
_TORCH: dict[str, Any] = dict.fromkeys(
    ("ones", "zeros", "empty", "full", "rand", "randn", "tensor"), ConstantValue
)
_TORCH |= {
    "flatten": lambda input, start_dim=0, end_dim=-1: (
        flatten(input, start_dim, end_dim)
        if isinstance(input, Tensor)
        else input.call_function("torch.flatten", {})
    ),
    "add": _operator("+"),
    "sub": _operator("-"),
    "mul": _operator("*"),
    "div": _operator("/"),
    "matmul": _operator("@"),
    "Tensor": Tensor,
    "no_grad": _NoGrad(),
    "jit": Library(
        "torch.jit",
        {
            "export": _same,
            "ignore": _same,
            "unused": _same,
            "is_scripting": lambda: False,
            "is_tracing": lambda: False,
            "annotate": lambda _, value: value,
            "Final": typing.Final,
        },
    ),
}


class Torch:
    """The stand-in for torch in one validation.

    ``calls`` are what the Models call; a layer or an initializer that the tables of signatures do
    not have is known by the arguments and the defaults that its definition declares.
    """

    def __init__(self, calls: Sequence[Call], packages: Collection[str] = ()) -> None:
        layers, init = dict(_NN), dict(_INIT)
        self.signatures: dict[str, Signature] = {}
        for callee, declared in _declared(calls).items():
            signature = _declared_signature(callee, declared)
            self.signatures[callee] = signature
            name = callee.rpartition(".")[2]
            if callee.startswith("nn.init."):
                init[name] = _initializer(name, signature)
            else:
                layers[name] = layer_class(name, signature)
        self.nn = Library("nn", layers | {"init": Library("nn.init", init)})
        self.torch = _Functions("torch", _TORCH | {"nn": self.nn})
        self._packages = packages
        self._elsewhere = {call.callee for call in calls if _is_elsewhere(call.callee)}
        self.signatures |= dict.fromkeys(self._elsewhere, _as_written)
        self._roots: dict[str, Library] = {}

    def imported(self, package: str) -> Library | None:
        """The root of a package with modules that the Models name, which it has from now on."""
        if package not in self._packages:
            return None
        for callee in self._elsewhere:
            if callee.startswith(f"{package}."):
                self._add(callee)
        return self._roots[package.partition(".")[0]]

    def _add(self, callee: str) -> None:
        first, *rest, name = callee.split(".")
        library: Any = self._roots.setdefault(first, Library(first, {}))
        for word in rest:
            inner = library.__dict__.setdefault(word, Library(f"{library._name}.{word}", {}))
            library = inner
        made = layer_class(name, _as_written)
        made.callee = callee
        library.__dict__[name] = made

    def signature_of(self, callee: str) -> Signature:
        """The signature of a layer or an initializer of ``torch.nn``."""
        name = callee.rpartition(".")[2]
        table = INITIALIZERS if callee.startswith("nn.init.") else LAYERS
        return self.signatures.get(callee) or table[name]

    def function(self, callee: str) -> Any:
        """A function by its name in the text of a module."""
        found: Any = self
        for name in callee.split("."):
            found = getattr(found, name)
        return found


def _is_elsewhere(callee: str) -> bool:
    """Whether a layer is neither PyTorch's nor a class that the module brings along."""
    return "." in callee and not callee.startswith(("nn.", "torch."))


def _declared(calls: Iterable[Call]) -> dict[str, list[Call]]:
    """The calls of what is in no table, by the name of what is called."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        kind, _, name = call.callee.rpartition(".")
        table: Mapping[str, object] = INITIALIZERS if kind == "nn.init" else _NN
        if kind in ("nn", "nn.init") and name not in table:
            found.setdefault(call.callee, []).append(call)
    return found


def _declared_signature(callee: str, calls: list[Call]) -> Signature:
    declared: dict[str, Arg] = {
        arg.keyword: arg for call in calls for arg in call.args if arg.keyword is not None
    }

    def signature(*args: Any, **kwargs: Any) -> Bound:
        bound = {str(index): value for index, value in enumerate(args)}
        for name, arg in declared.items():
            if name in kwargs:
                bound[name] = kwargs.pop(name)
            elif arg.default is not None:
                bound[name] = arg.default
        if kwargs:
            raise TypeError(f"{callee}() got an unexpected argument {next(iter(kwargs))!r}")
        return bound

    return signature


# ── Python's own ─────────────────────────────────────────────────────────────────────────────


def _some(name: str, module: Any, words: str) -> Library:
    return Library(name, {word: getattr(module, word) for word in words.split()})


_ABC = Library("collections.abc", {n: getattr(collections.abc, n) for n in collections.abc.__all__})
#: From each library, what a network can need, and nothing that evaluates text.
_PYTHON = {
    "typing": _some(
        "typing",
        typing,
        "Any Callable ClassVar Dict Final Iterable Iterator List Literal Mapping NamedTuple "
        "Optional Protocol Sequence Tuple Type TypeAlias TYPE_CHECKING Union cast overload",
    ),
    "collections.abc": _ABC,
    "collections": Library("collections", {"abc": _ABC, "OrderedDict": collections.OrderedDict}),
    "dataclasses": _some("dataclasses", dataclasses, "dataclass field"),
    "functools": _some("functools", functools, "partial reduce"),
    "itertools": _some("itertools", itertools, "chain islice pairwise repeat zip_longest"),
    "math": Library("math", {n: v for n, v in vars(math).items() if not n.startswith("_")}),
    "__future__": Library("__future__", {"annotations": None}),
}


def _get_attribute(value: Any, name: str, *default: Any) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"`{name}` may not be used in a module")
    return getattr(value, name, *default)


_ALLOWED = (
    "__build_class__ abs all any bool callable classmethod dict enumerate filter float "
    "frozenset hasattr int isinstance issubclass iter len list map max min next object pow "
    "property range repr reversed round set slice sorted staticmethod str sum super tuple zip "
    "True False None NotImplemented Ellipsis Exception ArithmeticError AssertionError "
    "AttributeError IndexError KeyError LookupError NotImplementedError RuntimeError "
    "StopIteration TypeError ValueError"
)
_BUILTINS: dict[str, Any] = {name: getattr(builtins, name) for name in _ALLOWED.split()} | {
    "getattr": _get_attribute,
    "type": type,
    "print": lambda *_, **__: None,
}


class UnknownImport:
    """Something that a user's template imports. Everything made of it is unknown, too."""

    def __getattr__(self, name: str) -> UnknownImport:
        return UnknownImport()

    def __call__(self, *_: object, **__: object) -> UnknownImport:
        return UnknownImport()


def builtins_of(torch: Torch, *, is_foreign: bool) -> dict[str, Any]:
    """The builtins of a module, whose imports find the stand-ins."""

    def import_(
        name: str, globals: object = None, locals: object = None, names: Any = (), level: int = 0
    ) -> Any:
        first, *rest = name.split(".")
        if first != "torch":
            if name in _PYTHON:
                return _PYTHON[name] if names else _PYTHON[first]
            if not names and (package := torch.imported(name)) is not None:
                return package
            if is_foreign:
                return UnknownImport()
            raise StepMismatchError(f"it imports {name}")
        found: Any = torch.torch
        for part in rest if names else ():
            found = getattr(found, part)
        return found

    return _BUILTINS | {"__import__": import_}
