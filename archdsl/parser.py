"""From text to syntax tree. The only importer of Lark."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import resources
from math import isinf
from threading import Lock
from typing import Any, TypeVar

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from archdsl import syntax
from archdsl.brackets import find_bracket_faults
from archdsl.diagnostics import ArchError, Diagnostic
from archdsl.source import Source, Span
from archdsl.syntax_faults import (
    describe_character,
    describe_token,
    find_keyword_faults,
    without_statement,
)

MAX_DIGITS = 18
MAX_SYNTAX_ERRORS = 20

_T = TypeVar("_T")


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the garbage collector away: a long text makes a large tree, and all of it stays.

    Walking that tree again and again would take a third of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@without_collector()
def parse(source: Source) -> syntax.Program:
    """Parse a source into its syntax tree.

    Errors:
        ArchError: with every independent syntax error of the text.
    """
    faults = [*find_bracket_faults(source), *find_keyword_faults(source)]
    if faults:
        raise ArchError(_beside(source, faults))
    program, errors = _read(source)
    if program is None:
        raise ArchError(errors)
    return program


def _beside(source: Source, faults: list[Diagnostic]) -> list[Diagnostic]:
    """The faults, and what else is wrong once brackets match and keywords are spelt right.

    Where a bracket belongs is a guess within its line. What does not fit there says nothing, but
    the guess is not offered as a fix.
    """
    from archdsl.fixes import apply_fixes, relocate  # most texts need none

    edits = [edit for fault in faults for edit in fault.fixes[0].edits]
    mended = apply_fixes(source, faults, unsafe=True)
    if len(mended.diagnostics) < len(faults):
        return faults
    _, errors = _read(Source(mended.text, source.path))
    found = [relocate(error, source, edits) for error in errors]
    guessed = {f.span.line for f in faults if f.span and f.code != "unknown-word"}
    wrong = guessed & {error.span.line for error in found if error.span}
    return [
        *(replace(f, fixes=()) if f.span and f.span.line in wrong else f for f in faults),
        *(error for error in found if not error.span or error.span.line not in wrong),
    ]


def _read(source: Source) -> tuple[syntax.Program | None, list[Diagnostic]]:
    """The tree of a text, or every independent syntax error of it."""
    text = source.text
    errors: list[Diagnostic] = []
    while True:
        try:
            program = _parse_once(source, text)
        except UnexpectedInput as error:
            diagnostic, offset = _describe(source, error)
            errors.append(diagnostic)
        except _BadToken as error:
            errors.append(error.diagnostic)
            offset = error.offset
        else:
            return (None if errors else program), errors
        recovered = without_statement(text, offset)
        if recovered == text or len(errors) >= MAX_SYNTAX_ERRORS:
            return None, errors
        text = recovered


@without_collector()
def lex(source: Source) -> tuple[syntax.Lexeme, ...]:
    """The words, numbers and signs of a text that parses, in order; an empty one at the end.

    What kind a word is depends on the place where it stands, so the parser must run along. What
    lies between two lexemes is white space, separators and comments.
    """
    parser, builder = _lark()
    found: list[syntax.Lexeme] = []
    is_separated = False
    with _lock:
        builder.source = source
        for token in parser.parse_interactive(source.text).iter_parse():
            if token.type == "_SEP":
                is_separated = True
                continue
            span = Span(source, token.start_pos or 0, token.end_pos or 0)
            found.append(syntax.Lexeme(token.type, span, is_separated))
            is_separated = False
    end = len(source.text)
    return (*found, syntax.Lexeme("$END", Span(source, end, end), is_separated))


class _BadToken(Exception):
    def __init__(self, diagnostic: Diagnostic, offset: int) -> None:
        self.diagnostic = diagnostic
        self.offset = offset


_lock = Lock()


def _parse_once(source: Source, text: str) -> syntax.Program:
    parser, builder = _lark()
    with _lock:
        builder.source = source
        items = parser.parse(text)
    return syntax.Program(source, tuple(items))  # type: ignore[arg-type]


class _Breaks:
    """Takes out the line breaks inside parentheses, where none ends a statement.

    The lexer alone cannot: in its tables a value inside parentheses and one outside are the same.
    """

    always_accept = ()

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        for token in stream:
            if token.type in ("LPAR", "CALL_NAME"):
                depth += 1
            elif token.type == "RPAR":
                depth -= 1
            elif depth and token.type == "_SEP" and ";" not in _COMMENT.sub("", token):
                continue
            yield token


_COMMENT = re.compile(r"#[^\n]*")


@cache
def _lark() -> tuple[Lark, _Builder]:
    grammar = resources.files("archdsl").joinpath("grammar.lark").read_text("utf-8")
    builder = _Builder()
    return (
        Lark(
            grammar,
            parser="lalr",
            lexer="contextual",
            postlex=_Breaks(),
            transformer=builder,
            maybe_placeholders=False,
        ),
        builder,
    )


# ── The tree ─────────────────────────────────────────────────────────────────────────────────


def _only(children: list[Any], kind: type[_T]) -> _T | None:
    return next((child for child in children if isinstance(child, kind)), None)


_LEVELS = {"OR": 1, "AND": 2, "COMPARE": 4, "PLUS": 5, "MINUS": 5, "TIMES": 6, "DIVIDE": 6}
_PREFIX_LEVELS = {"NOT": 3, "MINUS": 7}


class _Builder(Transformer[Token, Any]):
    """Builds the syntax tree while Lark reduces: one method a rule."""

    source: Source

    def _span(self, first: Any, last: Any | None = None) -> Span:
        last = first if last is None else last
        start = (first.start_pos or 0) if isinstance(first, Token) else first.span.start
        end = (last.end_pos or 0) if isinstance(last, Token) else last.span.end
        return Span(self.source, start, end)

    def _integer(self, token: Token, digits: str) -> int:
        if len(digits) > MAX_DIGITS:
            span = self._span(token)
            raise _BadToken(
                Diagnostic("number-too-large", f"a number of {len(digits)} digits", span),
                span.start,
            )
        return int(digits)

    def _float(self, token: Token) -> float:
        value = float(token)
        if isinf(value):
            span = self._span(token)
            raise _BadToken(
                Diagnostic("number-too-large", "a number beyond all bounds", span), span.start
            )
        return value

    def _sizes(self, token: Token, text: str) -> tuple[int, ...]:
        return tuple(self._integer(token, part) for part in re.split("[x×]", text))

    def start(self, children: list[Any]) -> list[Any]:
        return children

    # Expressions

    def NAME(self, token: Token) -> syntax.Name:
        return syntax.Name(self._span(token), str(token))

    def CALL_NAME(self, token: Token) -> syntax.Name:
        start = token.start_pos or 0
        return syntax.Name(Span(self.source, start, start + len(token) - 1), str(token[:-1]))

    def name(self, children: list[Any]) -> syntax.Name:
        return children[0]  # type: ignore[no-any-return]

    def number(self, children: list[Token]) -> syntax.Number:
        token = children[0]
        if token.type == "FLOAT":
            return syntax.Number(self._span(token), self._float(token))
        return syntax.Number(self._span(token), self._integer(token, token.replace("_", "")))

    def negative_number(self, children: list[Any]) -> syntax.Unary:
        return syntax.Unary(self._span(*children), "-", children[1])

    def dims(self, children: list[Token]) -> syntax.Dims:
        return syntax.Dims(self._span(children[0]), self._sizes(children[0], children[0]))

    def expression(self, children: list[Any]) -> Any:
        """Operands and operators in a row, as a tree: the tighter an operator, the deeper."""
        if len(children) == 1:
            return children[0]
        operands: list[Any] = []
        waiting: list[tuple[int, Token, bool]] = []

        def reduce_to(level: int) -> None:
            while waiting and waiting[-1][0] >= level:
                _, operator, is_prefix = waiting.pop()
                right = operands.pop()
                if is_prefix:
                    symbol = "not" if operator.type == "NOT" else "-"
                    operands.append(syntax.Unary(self._span(operator, right), symbol, right))
                else:
                    left = operands.pop()
                    symbol = {"×": "*", "−": "-"}.get(operator, str(operator))
                    span = self._span(left, right)
                    operands.append(syntax.Binary(span, symbol, left, right))

        is_prefix = True
        for child in children:
            if not isinstance(child, Token):
                operands.append(child)
                is_prefix = False
                continue
            level = _PREFIX_LEVELS[child.type] if is_prefix else _LEVELS[child.type]
            if not is_prefix:
                reduce_to(level)
            waiting.append((level, child, is_prefix))
            is_prefix = True
        reduce_to(0)
        return operands[0]

    # Arguments

    def pair(self, children: list[Any]) -> list[Any]:
        return children

    def argument(self, children: list[Any]) -> syntax.Argument:
        value, *pair = children
        second = pair[0][0] if pair else None
        return syntax.Argument(self._span(value, second), value, second)

    def keyword(self, children: list[Any]) -> syntax.Argument:
        keyword, value, *pair = children
        second = pair[0][0] if pair else None
        return syntax.Argument(self._span(keyword, second or value), value, second, keyword)

    def call(self, children: list[Any]) -> syntax.Call:
        name, *arguments, close = children
        return syntax.Call(self._span(name, close), name, tuple(arguments))

    # Statements

    def flag(self, children: list[Token]) -> syntax.Flag:
        token = children[0]
        return syntax.Flag(self._span(token), token[0], self._sizes(token, token[1:]))

    def named(self, children: list[Any]) -> syntax.Named:
        name, value = children
        return syntax.Named(self._span(name, value), name, value)

    def paren(self, children: list[Any]) -> syntax.Paren:
        open_, value, close = children
        return syntax.Paren(self._span(open_, close), value)

    def label(self, children: list[Any]) -> list[Any]:
        return ["label", children[0]]

    def repeat(self, children: list[Any]) -> list[Any]:
        last = children[-1]
        if isinstance(last, Token):  # x3
            last = syntax.Number(self._span(last), self._integer(last, last[1:]))
        return ["repeat", last]

    def claim(self, children: list[Any]) -> list[Any]:
        return ["claim", children[0]]

    def step(self, children: list[Any]) -> syntax.Step:
        parts = {child[0]: child[1] for child in children if isinstance(child, list)}
        atoms = tuple(child for child in children if not isinstance(child, list))
        label, repeat, claim = parts.get("label"), parts.get("repeat"), parts.get("claim")
        span = self._span(label or atoms[0], repeat or atoms[-1])
        return syntax.Step(span, label, atoms, repeat, claim)

    def let(self, children: list[Any]) -> syntax.Let:
        name, value = children
        return syntax.Let(self._span(name, value), name, value)

    def cond(self, children: list[Any]) -> syntax.Cond:
        test, then, *otherwise = children
        last = otherwise[0] if otherwise else then
        return syntax.Cond(self._span(test, last), test, then, otherwise[0] if otherwise else None)

    def expect(self, children: list[Any]) -> syntax.Expect:
        metric, relation, quantity = children
        digits = quantity.rstrip("KMGT")
        self._integer(quantity, digits.replace("_", "").replace(".", ""))
        return syntax.Expect(
            self._span(metric, quantity),
            metric,
            str(relation),
            digits.replace("_", ""),
            str(quantity[len(digits) :]),
        )

    def chain(self, children: list[Any]) -> syntax.Chain:
        return syntax.Chain(self._span(children[0], children[-1]), tuple(children))

    def body(self, children: list[Any]) -> syntax.Body:
        chains = tuple(child for child in children if isinstance(child, syntax.Chain))
        forked = any(isinstance(c, Token) and c.type == "BAR" for c in children)
        return syntax.Body(self._span(children[0], children[-1]), chains, forked)

    # Items

    def pair_name(self, children: list[Any]) -> list[Any]:
        return ["pair", children[0]]

    def default(self, children: list[Any]) -> list[Any]:
        return ["default", children[0]]

    def formal(self, children: list[Any]) -> syntax.Formal:
        name, *rest = children
        parts = dict(rest)
        pair, default = parts.get("pair"), parts.get("default")
        return syntax.Formal(self._span(name, default or pair or name), name, pair, default)

    def formals(self, children: list[Any]) -> list[Any]:
        return [child for child in children if isinstance(child, syntax.Formal)]

    def use(self, children: list[Token]) -> syntax.Use:
        return syntax.Use(self._span(children[0]), str(children[0][1:-1]))

    def network(self, children: list[Any]) -> syntax.Network:
        name, *formals, input_, output, body = children
        listed = tuple(formals[0]) if formals else ()
        return syntax.Network(self._span(name, output), name, listed, input_, output, body)

    def family(self, children: list[Any]) -> syntax.Network:
        name, *formals, input_, output, body = children
        listed = tuple(formal for formal in formals if isinstance(formal, syntax.Formal))
        return syntax.Network(self._span(name, output), name, listed, input_, output, body)

    def instance(self, children: list[Any]) -> syntax.Instance:
        name, call, *body = children
        return syntax.Instance(self._span(name, call), name, call, body[0] if body else None)

    def block(self, children: list[Any]) -> syntax.Block:
        name, *formals, body = children
        listed = tuple(formal for formal in formals if isinstance(formal, syntax.Formal))
        return syntax.Block(self._span(name), name, listed, body)


# ── What can be wrong ────────────────────────────────────────────────────────────────────────


def _describe(source: Source, error: UnexpectedInput) -> tuple[Diagnostic, int]:
    """The diagnostic for what Lark stumbled over, and the place of the stumble."""
    if isinstance(error, UnexpectedCharacters):
        return describe_character(source, error.pos_in_stream or 0, set(error.allowed or ()))
    assert isinstance(error, UnexpectedToken)
    token = error.token
    expected = set(error.accepts or ()) or set(error.expected)
    return describe_token(source, token.type, str(token), token.start_pos or 0, expected)
