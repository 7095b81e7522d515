"""``archdsl.records.dataclass`` does what the standard library's does."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from archdsl.layers import REGISTRY
from archdsl.layers.conv import Conv
from archdsl.layers.volume import Volume
from archdsl.records import dataclass


def _classes(dataclass: Any) -> dict[str, Any]:
    """The forms of dataclasses that the package has."""

    @dataclass(frozen=True)
    class Bare:
        """A class without fields."""

    @dataclass(frozen=True, slots=True)
    class One:
        value: Any

    @dataclass(frozen=True)
    class Base:
        kind: ClassVar[str] = "base"
        width: int
        tags: list[str] = dataclasses.field(default_factory=list, repr=False)
        note: str = dataclasses.field(default="", compare=False)

        def __post_init__(self) -> None:
            if self.width < 0:
                raise ValueError("narrow")

    @dataclass(frozen=True)
    class Sub(Base):
        depth: int = 3
        key: str = dataclasses.field(default="k", kw_only=True)

    @dataclass(frozen=True, eq=False)
    class Same:
        value: int

    @dataclass(slots=True)
    class Loose:
        value: int
        other: int = 2

    @dataclass(frozen=True)
    class Own:
        value: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    return {c.__name__: c for c in (Bare, One, Base, Sub, Same, Loose, Own)}


STANDARD = _classes(dataclasses.dataclass)
OURS = _classes(dataclass)

NAN = float("nan")

MAKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "bare": lambda c: c["Bare"](),
    "one": lambda c: c["One"](3),
    "one, by name": lambda c: c["One"](value=NAN),
    "base": lambda c: c["Base"](1, ["a"], "n"),
    "base, defaults": lambda c: c["Base"](width=1),
    "sub": lambda c: c["Sub"](1, depth=4, key="j"),
    "same": lambda c: c["Same"](1),
    "loose": lambda c: c["Loose"](1),
    "own": lambda c: c["Own"](1),
}
WORKS: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "equal to a copy": lambda x: x == copy.copy(x),
    "equal to another": lambda x: x == object(),
    "unlike": lambda x: x != copy.copy(x),
    "hash": lambda x: hash(x) == hash(copy.copy(x)),
    "asdict": dataclasses.asdict,
    "astuple": dataclasses.astuple,
    "deepcopy": lambda x: repr(copy.deepcopy(x)),
    "fields": lambda x: [(f.name, f.type, f.kw_only, f.compare) for f in dataclasses.fields(x)],
    "match": lambda x: type(x).__match_args__,
    "replace": lambda x: repr(dataclasses.replace(x, **({"width": 9} if "w" in repr(x) else {}))),
    "replace by what is refused": lambda x: dataclasses.replace(x, width=-1),
    "set": lambda x: setattr(x, "value", 5),
    # The standard library's own refusal fails where a class has slots (TypeError of `super`).
    "set another": lambda x: hasattr(x, "__dict__") and setattr(x, "nothing", 5),
    "delete": lambda x: delattr(x, "value"),
    "has a dictionary": lambda x: hasattr(x, "__dict__"),
    "too many": lambda x: type(x)(1, 2, 3, 4, 5, 6),
    "unknown": lambda x: type(x)(wrong=1),
    "doc": lambda x: bool(type(x).__doc__),
}


def _outcome(work: Callable[[Any], Any], make: Callable[[Any], Any], classes: Any) -> Any:
    try:
        return work(make(classes))
    except Exception as error:
        return type(error), str(error).replace("<locals>.", "")


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("make", MAKERS)
def test_does_what_the_standard_library_does(make: str, work: str) -> None:
    theirs = _outcome(WORKS[work], MAKERS[make], STANDARD)
    assert _outcome(WORKS[work], MAKERS[make], OURS) == theirs


def test_an_init_is_written_once_and_stays_out_of_subclasses() -> None:
    @dataclass(frozen=True)
    class A:
        x: int

    @dataclass(frozen=True)
    class B(A):
        y: int = 0

    class C(A):
        pass

    before = A.__init__
    assert (C(1).x, B(1, 2).y, A(3).x) == (1, 2, 3)
    assert A.__init__ is not before
    assert A.__init__.__qualname__.endswith("A.__init__")
    assert A.__init__ is C.__init__ is not B.__init__


def test_a_field_that_is_no_argument_is_refused() -> None:
    @dataclass(frozen=True)
    class A:
        x: int = dataclasses.field(init=False)

    with pytest.raises(TypeError, match="init=False"):
        A()


def test_pickles() -> None:
    for thing in (Volume((8, 8, 3)), Conv((3, 3), 8)):
        assert pickle.loads(pickle.dumps(thing)) == thing


def test_no_layer_gets_its_init_before_it_is_wanted() -> None:
    """What is saved at the start of each command: a program is looked at that only imports."""
    code = (
        "from archdsl.layers import REGISTRY\n"
        "print(sum('first' in layer.__init__.__qualname__ for layer in REGISTRY.values()))"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert int(printed) == len(REGISTRY)
