"""Diagnostics as SARIF 2.1.0 (OASIS), which code-scanning services read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from archdsl.report.rules import explanation_of
from archdsl.rules import RULES
from archdsl.text.diagnostics import Diagnostic, Fix, Label
from archdsl.text.source import Source, Span
from archdsl.version import __version__

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

Document = dict[str, Any]


def sarif_document(diagnostics: Iterable[Diagnostic]) -> Document:
    """A log of one run, with a rule for each code that occurs."""
    listed = list(diagnostics)
    codes = sorted({diagnostic.code for diagnostic in listed})
    driver = {"name": "archdsl", "version": __version__, "rules": [_rule(code) for code in codes]}
    results = [_result(diagnostic, codes.index(diagnostic.code)) for diagnostic in listed]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(name: str) -> Document:
    code = RULES[name]
    return {
        "id": name,
        "shortDescription": {"text": code.summary},
        "fullDescription": {"text": explanation_of(code)},
        "help": {"text": f"{explanation_of(code)}\n\n{_example(name)}"},
    }


def _example(name: str) -> str:
    code = RULES[name]
    if code.example is None:
        return code.reason or ""
    return f"Instead of\n\n{code.example}\n\nwrite\n\n{code.fixed}"


def _result(diagnostic: Diagnostic, rule: int) -> Document:
    result: Document = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity.value,
        "message": {"text": _message(diagnostic)},
        "locations": [_primary(diagnostic)],
    }
    if diagnostic.related:
        result["relatedLocations"] = [
            _related(number, label) for number, label in enumerate(diagnostic.related)
        ]
    if diagnostic.fixes:
        result["fixes"] = [_fix(fix) for fix in diagnostic.fixes]
    return result


def _message(diagnostic: Diagnostic) -> str:
    label = f" ({diagnostic.label})" if diagnostic.label else ""
    lines = [diagnostic.message + label]
    if diagnostic.help:
        lines.append(f"help: {diagnostic.help}")
    return "\n".join([*lines, *(f"note: {note}" for note in diagnostic.notes)])


def _primary(diagnostic: Diagnostic) -> Document:
    if diagnostic.span is None:
        return {"physicalLocation": {"artifactLocation": _artifact(diagnostic.file)}}
    return _location(diagnostic.span)


def _location(span: Span) -> Document:
    place = {"artifactLocation": _artifact(span.source.path), "region": _region(span)}
    return {"physicalLocation": place}


def _related(number: int, label: Label) -> Document:
    return {"id": number, **_location(label.span), "message": {"text": label.message}}


def _artifact(path: str) -> Document:
    """A URI: relative where the path is, so that it holds in every checkout."""
    if PurePath(path).is_absolute():
        return {"uri": "file://" + quote(PurePath(path).as_posix(), errors="surrogateescape")}
    return {"uri": quote(PurePath(path).as_posix(), errors="surrogateescape")}


def _region(span: Span) -> Document:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _fix(fix: Fix) -> Document:
    by_source: dict[int, tuple[Source, list[Document]]] = {}
    for edit in fix.edits:
        replacements = by_source.setdefault(id(edit.span.source), (edit.span.source, []))[1]
        replacements.append(
            {
                "deletedRegion": _region(edit.span),
                "insertedContent": {"text": edit.replacement},
            }
        )
    return {
        "description": {"text": fix.message},
        "artifactChanges": [
            {"artifactLocation": _artifact(source.path), "replacements": replacements}
            for source, replacements in by_source.values()
        ],
    }
