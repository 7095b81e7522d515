"""Python text laid out as ``ruff format`` would: expressions as data, and how they break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import TypeAlias

WIDTH = 100
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Text that is never broken."""

    text: str


@dataclass(frozen=True, slots=True)
class DocItem:
    """One argument or element: what is before it, the comment after it, and those above."""

    doc: Doc
    prefix: str = ""
    comment: str = ""
    above: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BracketedDoc:
    """``opening item, item closing``: a call, a tuple or the parameters of a function."""

    opening: str
    items: tuple[DocItem, ...]
    closing: str = ")"


@dataclass(frozen=True, slots=True)
class ChainedDoc:
    """Operands joined by one operator."""

    operator: str
    operands: tuple[Doc, ...]


@dataclass(frozen=True, slots=True)
class ComprehensionDoc:
    """``*(element for _ in range(n))``."""

    opening: str
    element: Doc
    clauses: tuple[DocItem, ...]
    closing: str


@dataclass(frozen=True, slots=True)
class ConditionalDoc:
    """``*([a] if condition else [b])``: some items, or others. The last have no condition."""

    cases: tuple[tuple[str, Doc], ...]
    otherwise: Doc


Doc: TypeAlias = Verbatim | BracketedDoc | ChainedDoc | ComprehensionDoc | ConditionalDoc


def flat(doc: Doc) -> str:
    """The expression on one line."""
    match doc:
        case Verbatim(text=text):
            return text
        case BracketedDoc(opening=opening, items=items, closing=closing):
            return opening + _flat_items(items, opening) + closing
        case ChainedDoc(operator=operator, operands=operands):
            return f" {operator} ".join(flat(operand) for operand in operands)
        case ComprehensionDoc(opening=opening, element=element, clauses=clauses, closing=closing):
            parts = [flat(element), *(clause.prefix + flat(clause.doc) for clause in clauses)]
            return opening + " ".join(parts) + closing
        case ConditionalDoc():
            return f"*({_flat_cases(doc)})"


def _flat_cases(doc: ConditionalDoc) -> str:
    cases = "".join(f"{flat(case)} if {condition} else " for condition, case in doc.cases)
    return cases + flat(doc.otherwise)


def _flat_items(items: tuple[DocItem, ...], opening: str) -> str:
    text = ", ".join(item.prefix + flat(item.doc) for item in items)
    return text + "," if opening == "(" and len(items) == 1 else text


def without_comments(doc: Doc) -> Doc:
    """The expression without the comments after and above its items."""
    match doc:
        case BracketedDoc(items=items):
            quiet = (replace(i, doc=without_comments(i.doc), comment="", above=()) for i in items)
            return replace(doc, items=tuple(quiet))
        case ConditionalDoc(cases=cases, otherwise=otherwise):
            quieter = tuple((condition, without_comments(case)) for condition, case in cases)
            return ConditionalDoc(quieter, without_comments(otherwise))
        case _:
            return doc


def _has_comments(doc: Doc) -> bool:
    match doc:
        case BracketedDoc(items=items):
            return any(i.comment or i.above or _has_comments(i.doc) for i in items)
        case ChainedDoc(operands=operands):
            return any(_has_comments(operand) for operand in operands)
        case ComprehensionDoc(element=element):
            return _has_comments(element)
        case ConditionalDoc(cases=cases, otherwise=otherwise):
            return any(_has_comments(one) for one in (otherwise, *(case for _, case in cases)))
        case _:
            return False


def lay_out(prefix: str, doc: Doc, indent: int, suffix: str = "", comment: str = "") -> list[str]:
    """The lines of ``prefix`` + expression + ``suffix``, broken where they exceed the width."""
    margin = INDENT * indent
    behind = f"  # {comment}" if comment else ""
    line = margin + prefix + flat(doc) + suffix
    if not _has_comments(doc) and (len(line + behind) <= WIDTH or isinstance(doc, Verbatim)):
        return [line + behind]
    match doc:
        case BracketedDoc(opening=opening, closing=closing):
            return [
                margin + prefix + opening,
                *_inside(doc, indent + 1),
                margin + closing + suffix + behind,
            ]
        case ComprehensionDoc(opening=opening, closing=closing):
            return [
                margin + prefix + opening,
                *_inside_comprehension(doc, indent + 1),
                margin + closing + suffix + behind,
            ]
        case ChainedDoc(operator=operator, operands=operands):
            first, *rest = operands
            return [
                margin + prefix + "(",
                *lay_out("", first, indent + 1),
                *(
                    line
                    for operand in rest
                    for line in lay_out(f"{operator} ", operand, indent + 1)
                ),
                margin + ")" + suffix + behind,
            ]
        case ConditionalDoc():
            return [
                margin + prefix + "*(",
                *_inside_conditional(doc, indent + 1),
                margin + ")" + suffix + behind,
            ]
    raise AssertionError(doc)


def _inside_conditional(doc: ConditionalDoc, indent: int) -> Iterator[str]:
    line = INDENT * indent + _flat_cases(doc)
    if len(line) <= WIDTH:
        yield line
        return
    before = ""
    for condition, case in doc.cases:
        yield from lay_out(before, case, indent)
        yield f"{INDENT * indent}if {condition}"
        before = "else "
    yield from lay_out(before, doc.otherwise, indent)


def _inside(doc: BracketedDoc, indent: int) -> Iterator[str]:
    """The items between brackets: on one line where they fit, else a line each."""
    if fits_inside(doc, indent):
        yield INDENT * indent + _flat_items(doc.items, doc.opening)
        return
    for item in doc.items:
        yield from comment_lines(item.above, indent)
        yield from lay_out(item.prefix, item.doc, indent, ",", item.comment)


def comment_lines(said: tuple[str, ...], indent: int) -> Iterator[str]:
    """Comments on lines of their own, within the width."""
    margin = f"{INDENT * indent}# "
    for line in said:
        yield from wrap(
            line,
            WIDTH,
            initial_indent=margin,
            subsequent_indent=margin,
            break_long_words=False,
            break_on_hyphens=False,
        )


def fits_inside(doc: BracketedDoc, indent: int) -> bool:
    """Whether all items fit on one line of their own between the brackets."""
    # A list or a tuple that does not fit as a whole gets a line for each of its elements.
    is_pinned = doc.opening in ("(", "[")
    line = INDENT * indent + _flat_items(doc.items, doc.opening)
    return not _has_comments(doc) and not is_pinned and len(line) <= WIDTH


def _inside_comprehension(doc: ComprehensionDoc, indent: int) -> Iterator[str]:
    line = INDENT * indent + flat(doc)[len(doc.opening) : -len(doc.closing)]
    if len(line) <= WIDTH:
        yield line
        return
    yield from lay_out("", doc.element, indent)
    for clause in doc.clauses:
        yield from lay_out(clause.prefix, clause.doc, indent)


def bracketed(
    opening: str, items: Iterator[DocItem] | list[DocItem], closing: str = ")"
) -> BracketedDoc:
    return BracketedDoc(opening, tuple(items), closing)
