"""Faults of signs: brackets, commas, comments, what stands in a wrong place."""

from __future__ import annotations

import re

from archdsl.text import syntax
from archdsl.text.source import Span

from .fault import Change, Changes, fault
from .spec import Spec


def _at(spec: Spec, start: int, end: int) -> Span:
    return Span(spec.source, start, end)


def _end(spec: Spec) -> Span:
    return _at(spec, len(spec.text), len(spec.text))


@fault("unclosed-bracket", fixable=True)
def closing_brace_missing(spec: Spec) -> Changes:
    """a closing brace is missing"""
    for body in spec.bodies:
        end = body.span.end
        yield Change(_at(spec, end - 1, end), "", body.span.line)


@fault("unmatched-bracket", "unexpected-word", conflict=True)
def opening_brace_missing(spec: Spec) -> Changes:
    """the opening brace of a network or block is missing"""
    for item in spec.program.items:
        if isinstance(item, (syntax.Network, syntax.Block)):
            start = item.body.span.start
            yield Change(_at(spec, start, start + 1), "")


@fault("unmatched-bracket", fixable=True)
def closing_brace_surplus(spec: Spec) -> Changes:
    """a closing brace too many"""
    yield Change(_end(spec), "}\n", len(spec.text.splitlines()) + 1)
    for body in spec.trunks:
        yield Change(body.span.after, " }")


@fault("unclosed-bracket", fixable=True)
def parenthesis_missing(spec: Spec) -> Changes:
    """the closing parenthesis of a call is missing"""
    for call in (*spec.calls, *(i.call for i in spec.items(syntax.Instance))):
        yield Change(_at(spec, call.span.end - 1, call.span.end), "")


@fault("unexpected-word", "unexpected-character", fixable=True)
def comma_between_arguments(spec: Spec) -> Changes:
    """a comma between the arguments of a layer"""
    for written in spec.layers:
        for left, right in zip(written.arguments, written.arguments[1:], strict=False):
            if spec.text[left.span.end : right.span.start] == " ":
                yield Change(left.span.after, ",")


@fault("unexpected-word", "unexpected-character", fixable=True)
def comment_of_another_language(spec: Spec) -> Changes:
    """a comment that begins with //"""
    for step in spec.steps:
        end = spec.text.find("\n", step.span.end)
        if "#" not in spec.source.line(step.span.end_line):
            yield Change(_at(spec, end, end), "  // see the paper")


@fault("unexpected-character")
def foreign_character(spec: Spec) -> Changes:
    """a character that is not part of the language"""
    for written in spec.layers:
        yield Change(written.name.span.after, " @")


@fault("unexpected-word", fixable=True)
def semicolon_missing(spec: Spec) -> Changes:
    """no semicolon before a named statement"""
    for step in spec.steps:
        if step.label:
            before = spec.text[: step.label.span.start].rstrip(" ")
            if before.endswith(";"):
                yield Change(_at(spec, len(before) - 1, len(before)), "")


@fault("unexpected-word")
def volume_missing(spec: Spec) -> Changes:
    """an arrow without a volume"""
    for step in spec.steps:
        if step.claim is not None:
            yield Change(step.claim.span, "")


@fault("unexpected-word", "unexpected-character")
def arrow_of_another_language(spec: Spec) -> Changes:
    """the arrow written =>"""
    for step in spec.steps:
        if step.claim is not None:
            start = spec.text.rindex("→", 0, step.claim.span.start)
            yield Change(_at(spec, start, start + 1), "=>")


@fault("unexpected-word", "unknown-word", fixable=True)
def keyword_misspelt(spec: Spec) -> Changes:
    """`network`, `block`, `use` or `expect` is misspelt"""
    typos = {"network": "netwrok", "block": "blcok", "use": "ues", "expect": "expcet"}
    for match in re.finditer(r"^ *(network|block|use|expect)\b", spec.text, re.MULTILINE):
        yield Change(_at(spec, *match.span(1)), typos[match[1]])


@fault("misplaced-statement")
def statement_outside(spec: Spec) -> Changes:
    """a layer behind the end of the network"""
    if spec.program.items:
        yield Change(_end(spec), "relu\n", len(spec.text.splitlines()) + 1)


@fault("misplaced-statement")
def claim_inside_a_group(spec: Spec) -> Changes:
    """`expect` inside a named group or a block"""
    blocks = [b.body for b in spec.items(syntax.Block)]
    groups = [s.atoms[0] for s in spec.steps if s.label and isinstance(s.atoms[0], syntax.Body)]
    for body in (*blocks, *groups):
        end = body.span.end
        yield Change(_at(spec, end - 1, end), "; expect params = 1 }", body.span.end_line)


@fault("number-too-large")
def number_too_large(spec: Spec) -> Changes:
    """a number of a hundred digits"""
    for written in spec.layers:
        for atom in written.arguments:
            if isinstance(atom, syntax.Number) and isinstance(atom.value, int):
                yield Change(atom.span, "9" * 100)
