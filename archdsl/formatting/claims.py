"""The volumes written behind ``→``: taken out of a text, and written into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from archdsl.text import syntax
from archdsl.text.source import Source


def blank_claims(source: Source, program: syntax.Program) -> Source:
    """The source with spaces in place of the claims that ``write_claims`` would refresh.

    All places stay valid. The rest means the same, since a claim is compared but never used.
    """
    parts: list[str] = []
    done = 0
    for step in _steps(program):
        if step.claim is None or not _is_literal(step.claim):
            continue
        start, end = step.span.end, step.claim.span.end
        blank = "".join(c if c == "\n" else " " for c in source.text[start:end])
        parts += (source.text[done:start], blank)
        done = end
    return Source("".join([*parts, source.text[done:]]), source.path)


def write_claims(source: Source, program: syntax.Program, volumes: Mapping[int, str]) -> str:
    """Refresh the claims of a text, and add one to each line of a network that has none.

    ``volumes`` holds what to write for a statement, by the place where it starts. A claim that is
    written as a name or an expression explains its volume, so it stays.
    """
    edits: list[tuple[int, int, str]] = []
    for step in _steps(program):
        volume = volumes.get(step.span.start)
        if volume and step.claim is not None and _is_literal(step.claim):
            edits.append((step.claim.span.start, step.claim.span.end, volume))
    for step in _last_steps(program):
        volume = volumes.get(step.span.start)
        if volume and step.claim is None:
            edits.append((step.span.end, step.span.end, f" → {volume}"))
    parts: list[str] = []
    done = 0
    for start, end, text in sorted(edits):
        parts += (source.text[done:start], text)
        done = end
    return "".join([*parts, source.text[done:]])


def _is_literal(claim: syntax.Expr) -> bool:
    return isinstance(claim, (syntax.Dims, syntax.Number))


def _steps(program: syntax.Program) -> list[syntax.Step]:
    """The steps of a text in the order in which they end."""
    items = [item for item in program.items if not isinstance(item, syntax.Instance)]
    steps = [step for item in items for step in syntax.find(item, syntax.Step)]
    return sorted(steps, key=lambda step: step.span.end)


# ── Lines ────────────────────────────────────────────────────────────────────────────────────

_Statements = Sequence[syntax.Item]


def _last_steps(program: syntax.Program) -> Iterator[syntax.Step]:
    """The step that ends a line, for each line on the trunk of a network."""
    yield from _last_in(program.items)
    for item in program.items:
        if isinstance(item, syntax.Network):
            yield from _last_in_body(item.body)


def _last_in_body(body: syntax.Body) -> Iterator[syntax.Step]:
    """The same inside braces, if their statements are not on the line of the opening brace."""
    statements = [statement for chain in body.chains for statement in chain.statements]
    if not body.forked and statements and statements[0].span.line > body.span.line:
        yield from _last_in(statements)


def _last_in(statements: _Statements) -> Iterator[syntax.Step]:
    for statement, following in zip_longest(statements, statements[1:]):
        if not isinstance(statement, syntax.Step) or isinstance(
            statement, (syntax.Aux, syntax.Train)
        ):
            continue
        inner = list(syntax.bodies_of(statement))
        found = [step for body in inner for step in _last_in_body(body)]
        yield from found
        says_it = found and statement.atoms[-1] is inner[-1] and statement.repeat is None
        if not says_it and (following is None or following.span.line > statement.span.end_line):
            yield statement
