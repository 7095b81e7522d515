"""Networks written from Python: the calls become the text of a spec, and mean what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from archdsl.api import format, parse
from archdsl.layers import REGISTRY, MergeLayer
from archdsl.layers.definition import letters_of
from archdsl.model import Model

#: A number, a truth value, a size such as ``(3, 5)``, or a word as the language has it.
Written: TypeAlias = int | float | bool | str | tuple[int, ...]
#: What writes a branch, a group or a head.
Writer: TypeAlias = Callable[["WrittenChain"], object]


class WrittenChain:
    """Statements one behind the other. A layer or a block begins one by its name.

    ``chain.conv("3x3", 64, "same", s=2).bn().relu()`` is ``conv 3x3 64 same s2 bn relu``. A merge
    takes functions that write its branches, and any other name is the call of a block.
    """

    def __init__(self) -> None:
        self._statements: list[WrittenStatement] = []

    def __getattr__(self, word: str) -> Callable[..., WrittenStatement]:
        if word.startswith("_"):
            raise AttributeError(word)
        return getattr(self._begin(), word)  # type: ignore[no-any-return]

    def part(self, name: str) -> WrittenStatement:
        """Begin a statement with a name: ``net.part("stem").conv("7x7", 64)``."""
        return self._begin(f"{name}: ")

    def group(self, name: str, write: Writer) -> WrittenStatement:
        """Statements in braces with a name."""
        return self.part(name)._braces("", write)

    def aux(self, weight: float, write: Writer, name: str | None = None) -> WrittenStatement:
        """An auxiliary head."""
        statement = self.part(name) if name else self._begin()
        return statement._braces(f"aux({weight!r}) ", write)

    def line(self, text: str) -> None:
        """A statement in the language itself: ``let k = 32``, ``init he``, ``if C != 64 { … }``."""
        self._begin(text)

    def expect(self, claim: str) -> None:
        """A claim: ``net.expect("params ~ 138M")``."""
        self._begin(f"expect {claim}")

    def _begin(self, text: str = "") -> WrittenStatement:
        statement = WrittenStatement(text)
        self._statements.append(statement)
        return statement

    def _text(self) -> str:
        return "\n".join(statement._text.strip() for statement in self._statements)


class WrittenStatement:
    """A statement that goes on with each layer or block that is called on it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __getattr__(self, word: str) -> Callable[..., WrittenStatement]:
        if word.startswith("_"):
            raise AttributeError(word)
        layer = REGISTRY.get(word.removesuffix("_"))

        def write(*arguments: Written | Writer, **named: Written) -> WrittenStatement:
            if layer is None:
                return self._call(word, arguments, named)
            if issubclass(layer, MergeLayer):
                return self._merge(layer.name, arguments)
            words = [layer.name, *map(_as_argument, arguments)]
            for name, value in named.items():
                is_letter = name in letters_of(layer)
                words.append(f"{name}{'' if is_letter else '='}{_as_argument(value)}")
            self._text += " ".join(words) + " "
            return self

        return write

    def times(self, count: int | str) -> WrittenStatement:
        """Repeat the statement, with weights of its own for each copy."""
        self._text += f"×{_as_argument(count)} "
        return self

    def gives(self, volume: str | tuple[int, ...] | int) -> WrittenStatement:
        """State the volume at this point, which is checked."""
        self._text += f"→ {_as_argument(volume)} "
        return self

    def _call(
        self, block: str, arguments: tuple[Written | Writer, ...], named: dict[str, Written]
    ) -> WrittenStatement:
        words = [*map(_as_text, arguments)]
        words += (f"{name}={_as_text(value)}" for name, value in named.items())
        self._text += f"{block}({', '.join(words)}) "
        return self

    def _merge(self, word: str, branches: tuple[Written | Writer, ...]) -> WrittenStatement:
        texts = []
        for write in branches:
            if not callable(write):
                raise TypeError(f"a branch of `{word}` is a function that writes it, not {write!r}")
            texts.append(_written_by(write))
        self._text += f"{word} {{\n| " + "\n| ".join(texts) + "\n} "
        return self

    def _braces(self, before: str, write: Writer) -> WrittenStatement:
        self._text += f"{before}{{\n{_written_by(write)}\n}} "
        return self


class Network(WrittenChain):
    """A network that Python writes.

    ``str`` is its text in the one style, ``definitions`` are blocks in the language to put before
    it, and ``model()`` is the Model of the text.
    """

    def __init__(
        self,
        name: str,
        input: str | tuple[int, ...] | int,
        output: str | tuple[int, ...] | int,
        *,
        definitions: str = "",
    ) -> None:
        super().__init__()
        self._header = f"network {name}: {_as_argument(input)} → {_as_argument(output)}"
        self._name = name
        self._definitions = definitions

    def __str__(self) -> str:
        """The text. Errors: ``ArchError`` where it has no syntax of the language."""
        text = f"{self._definitions}\n{self._header} {{\n{self._text()}\n}}\n"
        return format(text, path=f"<{self._name}>")

    def __repr__(self) -> str:
        return f"Network({self._name!r})"

    def model(self) -> Model:
        """The Model. Errors: ``ArchError`` with every independent fault, placed in ``str``."""
        return parse(str(self), path=f"<{self._name}>")


def _written_by(write: Writer) -> str:
    chain = WrittenChain()
    write(chain)
    return chain._text()


def _as_argument(value: object) -> str:
    """A value as an argument of a layer: in parentheses where it is negative."""
    text = _as_text(value)
    return f"({text})" if text.startswith("-") else text


def _as_text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return value
        case tuple():
            return "x".join(map(_as_text, value))
        case list():
            return f"[{', '.join(map(_as_text, value))}]"
        case _:
            raise TypeError(f"{value!r} is nothing that a spec can hold")
