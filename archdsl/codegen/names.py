"""Names in the generated code: one table for each scope of Python."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable

#: What the generated module imports, or calls without a prefix.
_OF_THE_MODULE = (
    "Tensor",
    "Mapping",
    "NamedTuple",
    "OrderedDict",
    "math",
    "round_to",
    "torch",
    "nn",
)
_BUILTINS = (
    "bool",
    "dict",
    "float",
    "int",
    "isinstance",
    "len",
    "list",
    "max",
    "min",
    "range",
    "round",
    "str",
    "sum",
    "super",
    "tuple",
    "type",
)
assert all(hasattr(builtins, name) for name in _BUILTINS)


class PythonScope:
    """The names of one scope. A ``_``, or a number, is appended to a name that is taken."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = {*_OF_THE_MODULE, *_BUILTINS, *taken}

    def give(self, name: str) -> str:
        """The name, or the nearest like it that is free; then it is taken."""
        fresh = name
        while keyword.iskeyword(fresh) or fresh in self.taken:
            fresh = f"{fresh}_"
        self.taken.add(fresh)
        return fresh

    def give_numbered(self, name: str) -> str:
        """The name, or the name with the smallest number that makes it free: ``Basic2``."""
        count, fresh = 1, name
        while keyword.iskeyword(fresh) or fresh in self.taken:
            count += 1
            fresh = f"{name}{count}"
        self.taken.add(fresh)
        return fresh
