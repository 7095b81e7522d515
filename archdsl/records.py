"""``dataclass`` like that of the standard library, but cheap until a class has an object.

``dataclasses.dataclass`` writes up to seven methods of a class as source and compiles each. For the
two hundred classes that a check imports, this took a quarter of its time, although a check makes no
objects of most of them. Here ``__init__`` is written when it is first called, and the other methods
are shared: they work from the names of the fields.

All else is the same: ``fields``, ``replace``, ``asdict``, patterns, pickles. Fields with
``init=False`` are refused. Classes that inherit from one another must all use this decorator, or
all use that of the standard library.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        cls: type | None = None,
        /,
        *,
        frozen: bool = False,
        eq: bool = True,
        slots: bool = False,
    ) -> Any:
        """Make a class a dataclass; the options are those of ``dataclasses.dataclass``."""

        def decorate(cls: type) -> type:
            return _decorate(cls, frozen, eq, slots)

        return decorate if cls is None else decorate(cls)


def _decorate(cls: type, frozen: bool, eq: bool, slots: bool) -> type:
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # otherwise one is composed, which is slower than all the rest
    # Without methods, this reads the fields, makes the slots, and compiles nothing.
    cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    own = vars(cls)
    methods: dict[str, Any] = {"__init__": _first_init(cls), "__repr__": _repr}
    if eq:
        has_hash = own.get("__hash__") is not None
        key = _key(tuple(item.name for item in dataclasses.fields(cls) if item.compare))
        methods["__eq__"] = _equality(key)
        if not has_hash:
            # A class with an `__eq__` of its own has a `__hash__`, which is None.
            setattr(cls, "__hash__", _hashing(key) if frozen else None)  # noqa: B010
    if frozen:
        methods |= {"__setattr__": _refuse_setting, "__delattr__": _refuse_deleting}
        if slots:
            methods |= {"__getstate__": _get_state, "__setstate__": _set_state}
    for name, method in methods.items():
        if name not in own:
            setattr(cls, name, method)
    return cls


# ── __init__ ─────────────────────────────────────────────────────────────────────────────────


def _first_init(cls: type) -> Callable[..., None]:
    """An ``__init__`` that replaces itself by the real one."""

    def __init__(self: object, *args: Any, **keywords: Any) -> None:
        init = _write_init(cls)
        cls.__init__ = init  # type: ignore[misc]
        init(self, *args, **keywords)

    return __init__


def _write_init(cls: type) -> Callable[..., None]:
    """An ``__init__`` as the standard library would write it."""
    parameters: dict[bool, list[str]] = {False: ["self"], True: []}
    body: list[str] = []
    names: dict[str, Any] = {"_set": object.__setattr__, "_made": dataclasses.MISSING}
    for item in dataclasses.fields(cls):
        if not item.init:
            raise TypeError(f"{cls.__qualname__}.{item.name}: init=False is not supported")
        name, default = item.name, ""
        value = name
        if item.default_factory is not dataclasses.MISSING:
            names[f"_make_{name}"] = item.default_factory
            default, value = "=_made", f"_make_{name}() if {name} is _made else {name}"
        elif item.default is not dataclasses.MISSING:
            names[f"_default_{name}"] = item.default
            default = f"=_default_{name}"
        parameters[bool(item.kw_only)].append(f"{name}{default}")
        body.append(f"_set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    by_place, by_name = (", ".join(parameters[kw_only]) for kw_only in (False, True))
    signature = f"{by_place}, *, {by_name}" if by_name else by_place
    source = f"def __init__({signature}):\n " + "\n ".join(body or ["pass"])
    exec(source, names)
    init: Callable[..., None] = names["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


# ── The other methods ────────────────────────────────────────────────────────────────────────


def _key(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that returns an object's fields as a tuple."""
    if not names:
        return lambda record: ()
    get = attrgetter(*names)
    if len(names) == 1:
        return lambda record: (get(record),)
    return get


def _equality(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any, Any], bool]:
    def __eq__(self: Any, other: Any) -> bool:
        if other.__class__ is self.__class__:
            return key(self) == key(other)
        return NotImplemented

    return __eq__


def _hashing(key: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:
        return hash(key(self))

    return __hash__


def _repr(self: Any) -> str:
    shown = (f"{i.name}={getattr(self, i.name)!r}" for i in dataclasses.fields(self) if i.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse_setting(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deleting(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, item.name) for item in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for item, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, item.name, value)
