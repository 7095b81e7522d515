"""Stand-ins for ``nn.Module`` and its containers: they register as torch's do, and record.

Only what a module may use is here. A missing attribute is an ``AttributeError`` at the line that
asks for it, so nothing that a module does goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, overload

from archdsl.classplan import RESERVED_ATTRIBUTES
from archdsl.validation.errors import StepMismatchError
from archdsl.validation.values import ParameterValue


class Module:
    """``nn.Module``: what is assigned to it is registered, in this order."""

    training: bool
    _modules: dict[str, Module | None]
    _parameters: dict[str, ParameterValue | None]
    #: Whether it does nothing, so that a condition may put another module in its place.
    is_passing: ClassVar[bool] = False

    def __init__(self) -> None:
        values = self.__dict__
        if "_modules" in values:
            raise StepMismatchError("`super().__init__` is called twice")
        values["_modules"] = {}
        values["_parameters"] = {}
        values["training"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        values = self.__dict__
        modules = values.get("_modules")
        if values.get("is_running"):
            raise StepMismatchError(f"`self.{name}` changes while the network runs")
        if isinstance(value, Module | ParameterValue):
            if modules is None:
                raise AttributeError("cannot assign a module before Module.__init__() call")
            self._check_name(name)
            table = modules if isinstance(value, Module) else self._parameters
            old = table.get(name)
            if isinstance(old, Module) and not old.is_passing:
                raise StepMismatchError(f"`self.{name}` is made twice")
            table[name] = value  # type: ignore[assignment]
        elif modules is not None and (name in modules or name in self._parameters):
            if value is not None:
                raise TypeError(f"cannot assign {value!r} where a module is registered")
            table = modules if name in modules else self._parameters
            table[name] = None
        # In torch, methods take precedence over what is registered. Here their names are refused,
        # so that what is registered can be found as fast as any attribute.
        values[name] = value

    def _check_name(self, name: str) -> None:
        is_torch = name in RESERVED_ATTRIBUTES or name.startswith("_")
        if is_torch or hasattr(type(self), name):
            raise StepMismatchError(
                f"`{name}` is an attribute of every module and cannot be a layer"
            )

    def __delattr__(self, name: str) -> None:
        if self.__dict__.get("is_running"):
            raise StepMismatchError(f"`self.{name}` is deleted while the network runs")
        self._modules.pop(name, None)
        self._parameters.pop(name, None)
        del self.__dict__[name]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    # ── What is asked of a module ────────────────────────────────────────────────────────────

    def add_module(self, name: str, module: Module | None) -> None:
        if not name or "." in name:
            raise KeyError(f"{name!r} is not a name for a module")
        setattr(self, name, module)

    register_module = add_module

    def register_parameter(self, name: str, parameter: ParameterValue | None) -> None:
        self._parameters[name] = parameter
        self.__dict__[name] = parameter

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return ((name, module) for name, module in self._modules.items() if module is not None)

    def children(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """The module and all below it, each once, outer before inner."""
        found: list[tuple[str, Module]] = []
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            found.append((path, module))
            inner = module._modules
            if inner:
                start = f"{path}." if path else ""
                stack += [(start + n, m) for n, m in reversed(inner.items()) if m is not None]
        return iter(found)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, ParameterValue]]:
        return (
            (f"{path}.{name}" if path else name, parameter)
            for path, module in self.named_modules()
            for name, parameter in module.own_parameters().items()
        )

    def parameters(self) -> Iterator[ParameterValue]:
        return (parameter for _, parameter in self.named_parameters())

    def get_submodule(self, target: str) -> Module:
        module: Module | None = self
        for name in target.split(".") if target else ():
            module = module._modules.get(name) if module is not None else None
        if module is None:
            raise AttributeError(f"{type(self).__name__} has no module `{target}`")
        return module

    def get_parameter(self, target: str) -> ParameterValue:
        path, _, name = target.rpartition(".")
        parameter = self.get_submodule(path).own_parameters().get(name)
        if parameter is None:
            raise AttributeError(f"{type(self).__name__} has no parameter `{target}`")
        return parameter

    def apply(self, function: Callable[[Module], object]) -> Module:
        """Call a function for each module, inner before outer."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def own_parameters(self) -> dict[str, ParameterValue]:
        """The parameters of the module itself."""
        return {name: p for name, p in self._parameters.items() if p is not None}

    def register_buffer(self, name: str, tensor: object) -> None:
        self.__dict__.setdefault("_buffers", []).append(name)
        self.__dict__[name] = tensor

    def own_buffers(self) -> tuple[str, ...]:
        return tuple(self.__dict__.get("_buffers", ()))

    def state_dict(self) -> dict[str, None]:
        """The keys of the state; a module may ask for no numbers of its own."""
        return dict.fromkeys(self.state_keys())

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take a state, all of it and no more, as torch does."""
        keys = self.state_keys()
        wrong = {*keys} ^ {*state}
        if wrong:
            raise RuntimeError(f"missing or unexpected in the state: {', '.join(sorted(wrong))}")
        self.__dict__["loaded"] = state

    def state_keys(self) -> list[str]:
        """The keys of the state dict, in its order."""
        return [
            f"{path}.{name}" if path else name
            for path, module in self.named_modules()
            for name in (*module.own_parameters(), *module.own_buffers())
        ]


class Sequential(Module):
    """``nn.Sequential``."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                self._put(name, module)
            return
        for index, module in enumerate(modules):
            self._put(str(index), module)

    def _put(self, name: str, module: Any) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"{module!r} is not a module")
        self._modules[name] = module

    def forward(self, x: Any) -> Any:
        for module in self._modules.values():
            x = module(x)  # type: ignore[misc]
        return x

    def append(self, module: Any) -> Any:
        self._put(str(len(self._modules)), module)
        return self

    def extend(self, modules: Iterable[Any]) -> Any:
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Any) -> Any:
        items = list(self)
        items.insert(index, module)
        self._modules.clear()
        return self.extend(items)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __len__(self) -> int:
        return len(self._modules)

    def __bool__(self) -> bool:
        return bool(self._modules)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        if isinstance(index, slice):
            return Sequential(dict(list(self.named_children())[index]))
        return list(self)[index]


class ModuleList(Sequential):
    """``nn.ModuleList``: a row of modules that is not called itself."""

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        super().__init__(*modules)

    def forward(self, x: Any) -> Any:
        raise NotImplementedError("nn.ModuleList has no forward")

    __iadd__ = Sequential.extend


class ModuleDict(Module):
    """``nn.ModuleDict``."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __getitem__(self, name: str) -> Module:
        return self.get_submodule(name)

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def keys(self) -> Iterable[str]:
        return self._modules.keys()

    def values(self) -> Iterable[Module | None]:
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module | None]]:
        return self._modules.items()
