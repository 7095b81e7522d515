"""The text of a module, executed with the stand-ins: its classes, and where they are written."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType, TracebackType
from typing import Any

from archdsl.text.source import Span
from archdsl.validation.errors import FILENAME, InvalidModuleError, SpecPlace, StepMismatchError
from archdsl.validation.layers import Helper, LayerStandIn
from archdsl.validation.library import Torch, builtins_of
from archdsl.validation.modules import Module
from archdsl.validation.signatures import Bound, Signature
from archdsl.validation.values import Tensor

_HELPER = re.compile(r"class (\w+)")


class Emitted:
    """A module after its text has run.

    ``networks`` are the names of what it must build, and ``supports`` the sources of the helper
    classes that their layers bring along. ``is_foreign`` says that a user's template laid the text
    out, which may import what it likes.
    """

    def __init__(
        self,
        source: str,
        networks: Iterable[str],
        torch: Torch,
        supports: Iterable[str],
        *,
        is_foreign: bool,
    ) -> None:
        self.source = source
        self.torch = torch
        self.names: dict[str, Any] = {}
        #: How each helper class is called.
        self.helpers: dict[str, Signature] = {}
        with self.blaming(", ".join(networks)):
            self._execute(is_foreign)
            for support in supports:
                self._adopt(support.rstrip())

    def _execute(self, is_foreign: bool) -> None:
        if is_foreign:
            _check_attributes(self.source)
        code = compile(self.source, FILENAME, "exec", dont_inherit=True)
        self.names |= {
            "__name__": "emitted",
            "__builtins__": builtins_of(self.torch, is_foreign=is_foreign),
        }
        exec(code, self.names, _Definitions(self.names))

    # ── Helper classes ───────────────────────────────────────────────────────────────────────

    def _adopt(self, support: str) -> None:
        """Replace a helper class, which must be that of the definition, by a stand-in."""
        match = _HELPER.match(support)
        assert match is not None
        name = match[1]
        cls = self.names.get(name)
        if not isinstance(cls, type) or not issubclass(cls, Module):
            raise StepMismatchError(f"it lacks the class {name}, which a layer needs")
        start = f"\n{self.source}\n".find(f"\n{support}\n")
        first = self.source.count("\n", 0, max(start, 0)) + 1
        own = [value for value in vars(cls).values() if isinstance(value, FunctionType)]
        lines = range(first, first + support.count("\n") + 1)
        if start < 0 or any(f.__code__.co_firstlineno not in lines for f in own):
            line = own[0].__code__.co_firstlineno if own else None
            raise StepMismatchError(f"the class {name} is not that of its layer", line=line)
        for word, known in self._imports().items():
            if re.search(rf"\b{word}\b", support) and self.names.get(word) is not known:
                raise StepMismatchError(f"the class {name} needs {word}, which is not imported")
        self.helpers[name] = _signature_of(cls)
        self.names[name] = _helper_class(name, cls, self.helpers[name])

    def _imports(self) -> dict[str, Any]:
        return {"torch": self.torch.torch, "nn": self.torch.nn, "Tensor": Tensor}

    # ── Places ───────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def blaming(self, network: str, span: Span | None = None) -> Iterator[None]:
        """Turn whatever goes wrong inside into an ``InvalidModuleError`` with its places.

        ``span`` is the place in the spec where no node is to blame.
        """
        try:
            yield
        except StepMismatchError as found:
            line = found.line or _line_of(found) or self._definition_of(network)
            place = found.node.span if found.node else span
            raise self._invalid(network, found.fact, line, place) from None
        except SyntaxError as error:
            raise self._invalid(network, f"it is not Python: {error.msg}", error.lineno) from None
        except Exception as error:  # whatever a wrong module may raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            line = _line_of(error) or self._definition_of(network)
            raise self._invalid(network, f"it fails: {reason}", line, span) from None

    def _invalid(
        self, network: str, fact: str, line: int | None, span: Span | None = None
    ) -> InvalidModuleError:
        lines = self.source.splitlines()
        is_known = line is not None and 0 < line <= len(lines)
        place = SpecPlace(line, lines[line - 1].strip()) if line is not None and is_known else None
        return InvalidModuleError(network, fact, place, span)

    def _definition_of(self, name: str) -> int | None:
        found = re.search(rf"^(?:class|def) {re.escape(name)}\b", self.source, re.MULTILINE)
        return self.source.count("\n", 0, found.start()) + 1 if found else None


class _Definitions(dict[str, Any]):
    """What a module defines at its top, put among its globals; no class or function twice."""

    def __init__(self, names: dict[str, Any]) -> None:
        super().__init__()
        self.names = names

    def __setitem__(self, name: str, value: Any) -> None:
        old = self.names.get(name)
        if isinstance(old, type | FunctionType):
            raise StepMismatchError(f"`{name}` is defined twice")
        super().__setitem__(name, value)
        self.names[name] = value


def _line_of(error: BaseException) -> int | None:
    """The innermost line of the module that an exception came through."""
    line = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _check_attributes(source: str) -> None:
    """Refuse the attributes that give access to Python's internals: a template is not trusted."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("__"):
            continue
        if node.attr not in ("__init__", "__name__", "__doc__", "__qualname__"):
            raise StepMismatchError(f"it reaches for `{node.attr}`", line=node.lineno)


def _signature_of(cls: type[Module]) -> Signature:
    """How a helper class is called."""
    if issubclass(cls, LayerStandIn) and cls.__init__ is LayerStandIn.__init__:
        return cls.signature
    signature = inspect.signature(cls)

    def bind(*args: Any, **kwargs: Any) -> Bound:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    return bind


def _helper_class(name: str, cls: type[Module], signature: Signature) -> type[Helper]:
    bases: tuple[type, ...] = (Helper,)
    if issubclass(cls, LayerStandIn):  # so that what it extends is found by ``isinstance``
        bases = (Helper, *cls.__bases__)
    attributes = {
        "callee": name,
        "signature": staticmethod(signature),
        "original": cls,
        "__module__": __name__,
    }
    return type(name, bases, attributes)
