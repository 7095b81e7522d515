"""From text to syntax tree. The only importer of Lark."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from threading import Lock

from lark import Lark, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from archdsl.collector import without_collector
from archdsl.text import syntax
from archdsl.text.attachment import Comments
from archdsl.text.brackets import find_bracket_faults
from archdsl.text.diagnostics import ArchError, Diagnostic
from archdsl.text.grammar import load_parser
from archdsl.text.source import Source, Span
from archdsl.text.syntax_faults import (
    describe_character,
    describe_token,
    find_keyword_faults,
    without_statement,
)
from archdsl.text.tree import BadTokenError, TreeBuilder

MAX_SYNTAX_ERRORS = 20


@without_collector()
def parse_program(source: Source) -> syntax.Program:
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

    Where in its line a bracket belongs is a guess. Errors in that line are therefore not reported,
    but if there are any, the guess is not offered as a fix.
    """
    from archdsl.text.fixes import apply_fixes, relocate  # most texts need none

    edits = [edit for fault in faults for edit in fault.fixes[0].edits]
    fixed = apply_fixes(source, faults, unsafe=True)
    if len(fixed.diagnostics) < len(faults):
        return faults
    _, errors = _read(Source(fixed.text, source.path))
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
        except BadTokenError as error:
            if error.diagnostic in errors:
                return None, errors  # a token that cannot be left out
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

    The kind of a word depends on its place, so the parser must run along. Between two lexemes there
    is only white space, separators and comments.
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


_lock = Lock()


def _parse_once(source: Source, text: str) -> syntax.Program:
    parser, builder = _lark()
    with _lock:
        builder.source = source
        items = parser.parse(text)
    return syntax.Program(source, tuple(items), builder.comments.heading)  # type: ignore[arg-type]


@cache
def _lark() -> tuple[Lark, TreeBuilder]:
    comments = Comments()
    builder = TreeBuilder(comments, _read_expression)
    callbacks = {"COMMENT": comments.skip}
    return load_parser(builder, postlex=comments, lexer_callbacks=callbacks), builder


_BEFORE = "let x = "


def _read_expression(span: Span) -> syntax.Expr:
    """The expression in a name in quotes."""
    parser, builder = _lark_inside()
    builder.source = span.source
    builder.offset = span.start - len(_BEFORE)
    text = span.text.replace(";", ",").replace("#", ",")  # no second statement, no comment
    try:
        (item,) = parser.parse(_BEFORE + text)  # type: ignore[misc]
    except (UnexpectedInput, BadTokenError):
        item = None
    if not isinstance(item, syntax.Let):
        message = f"`{span.text.strip()}` in this name is not an expression"
        help = 'for example `"layer{i + 1}"`'
        raise BadTokenError(Diagnostic("unexpected-word", message, span, help=help), span.start)
    return item.value


@cache
def _lark_inside() -> tuple[Lark, TreeBuilder]:
    """A parser for what is inside a word of a text that another one is reading."""
    comments = Comments()
    builder = TreeBuilder(comments)
    callbacks = {"COMMENT": comments.skip}
    return load_parser(builder, postlex=comments, lexer_callbacks=callbacks), builder


# ── What can be wrong ────────────────────────────────────────────────────────────────────────


def _describe(source: Source, error: UnexpectedInput) -> tuple[Diagnostic, int]:
    """The diagnostic for what Lark stumbled over, and the place of the stumble."""
    if isinstance(error, UnexpectedCharacters):
        return describe_character(source, error.pos_in_stream or 0, set(error.allowed or ()))
    assert isinstance(error, UnexpectedToken)
    token = error.token
    expected = set(error.accepts or ()) or set(error.expected)
    return describe_token(source, token.type, str(token), token.start_pos or 0, expected)
