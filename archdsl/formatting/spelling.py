"""How each word and sign is spelled, and whether there is a space before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archdsl.records import dataclass
from archdsl.text.syntax import Lexeme

_OPENING = {"LPAR", "CALL_NAME", "LSQB", "ELEMENT_NAME"}
_CLOSING = {"RPAR", "RSQB"}
#: Operators without spaces around them.
_TIGHT = {"TIMES", "DIVIDE", "POWER", "RANGE"}
#: What a value can end with: a minus after these is a subtraction, after all others a sign.
_ENDS_OF_VALUES = {"NAME", "INT", "FLOAT", "DIMS", "QUANTITY", "RPAR", "RSQB"}
#: Statements that hold an expression outside parentheses, where ``×`` multiplies.
_WITH_EXPRESSION = {"LET", "IF", "FOR"}
#: Statements that give a name its meaning with a spaced ``=``.
_DEFINITIONS = {"LET", "NETWORK"}


@dataclass(frozen=True, slots=True)
class Spelling:
    """A lexeme's text, and whether a space separates it from what is before it."""

    text: str
    is_spaced: bool
    #: How many parentheses are open before it.
    depth: int
    kind: str
    #: Whether it is an argument or parameter that follows another one.
    follows_comma: bool


def spell(lexemes: Iterable[Lexeme | None]) -> Iterator[Spelling | None]:
    """Spell the lexemes of one statement, in order; None stands for braces and stays None."""
    speller: _Speller | None = None
    for lexeme in lexemes:
        if speller is None:
            speller = _Speller(lexeme.kind if lexeme else "LBRACE")
        yield speller.next(lexeme)


class _Speller:
    """What must be known about the beginning of a statement to spell its next word."""

    def __init__(self, first: str) -> None:
        self.first = first
        self.depth = 0
        self.before = ""
        #: Whether the lexeme before clings to the next one.
        self.is_tight = True

    def next(self, lexeme: Lexeme | None) -> Spelling | None:
        if lexeme is None:
            self.before, self.is_tight = "RBRACE", False
            return None
        kind, text = lexeme.kind, lexeme.span.text
        if kind == "FOR":
            self.first = kind  # it may have a name before it
        is_label = kind == "X_TIMES" and not self.before  # `x2: relu`
        is_bare = self.depth == 0 and self.first not in _WITH_EXPRESSION  # only numbers and words
        is_repeat = kind == "X_TIMES" or (kind == "TIMES" and is_bare)
        is_prefix = kind == "MINUS" and (is_bare or self.before not in _ENDS_OF_VALUES)
        clings = self._clings(kind, is_repeat)
        self.depth -= kind in _CLOSING
        spelling = Spelling(
            text if is_label else _text(kind, text, is_repeat),
            not (self.is_tight or clings),
            self.depth,
            kind,
            self.before == "COMMA",
        )
        self.depth += kind in _OPENING
        self.is_tight = (
            kind in _OPENING
            or is_prefix
            or kind == "X_TIMES"
            or kind in _TIGHT
            or (kind == "EQUAL" and not self._is_definition())
            or (kind == "_ARROW" and self.depth > 0)
        )
        self.before = kind
        return spelling

    def _clings(self, kind: str, is_repeat: bool) -> bool:
        """Whether a lexeme follows without a space, whatever is before it."""
        match kind:
            case "COMMA" | "COLON" | "RPAR" | "RSQB" | "POWER" | "RANGE":
                return True
            case "EQUAL":
                return not self._is_definition()
            case "_ARROW":
                return self.depth > 0
            case "TIMES" | "DIVIDE":
                return not is_repeat
            case "LPAR":  # the parameters of a family
                return self.first == "NETWORK" and self.before == "NAME"
        return False

    def _is_definition(self) -> bool:
        return self.depth == 0 and self.first in _DEFINITIONS


def _text(kind: str, text: str, is_repeat: bool) -> str:
    match kind:
        case "_ARROW":
            return "→"
        case "DIMS" | "FLAG":
            return text.replace("×", "x")
        case "X_TIMES":
            return f"×{text[1:]}"
        case "TIMES":
            return "×" if is_repeat else "*"
        case "MINUS":
            return "-"
    return text
