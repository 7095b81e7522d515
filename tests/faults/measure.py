"""Breaking specs, and looking at what is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zlib import crc32

from archdsl.frontend import diagnose
from archdsl.text.diagnostics import Diagnostic
from archdsl.text.fixes import applicable, apply_fixes
from archdsl.text.source import Source

from .fault import FAULTS, Change, Fault
from .spec import Spec

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("specs", "specs/torchvision", "tests/faults/specs")
#: Families so large that each of their texts takes a second or more.
LEFT_OUT = {
    "densenet",
    "efficientnet",
    "efficientnet_v2",
    "inception_v3",
    "mnasnet",
    "mobilenet_v3",
    "regnet",
    "resnext",
    "shufflenet_v2",
    "vgg_bn",
    "wide_resnet",
}


@dataclass(frozen=True)
class Outcome:
    """What was said of one broken text."""

    fault: Fault
    spec: Spec
    change: Change
    found: tuple[Diagnostic, ...]
    #: What is left of the same message after its fix; None where no fix is offered.
    is_fixed: bool | None

    @property
    def is_caught(self) -> bool:
        return bool(self.found)

    @property
    def is_at_line(self) -> bool:
        if not self.found:
            return False
        first, line = self.found[0], self.change.faulty_line
        shown = {label.span.line for label in first.related} if self.fault.is_conflict else set()
        return first.span is not None and line in {first.span.line, *shown}

    @property
    def has_code(self) -> bool:
        return bool(self.found) and self.found[0].code in self.fault.codes

    @property
    def is_single(self) -> bool:
        return len(self.found) == 1


def specs() -> list[Spec]:
    return [
        Spec(path.name, path.read_text("utf-8"), path.parent)
        for folder in FOLDERS
        for path in sorted((ROOT / folder).glob("*.arch"))
        if path.stem not in LEFT_OUT
    ]


def chosen(fault: Fault, spec: Spec) -> list[Change]:
    """One of the places of a spec, always the same and not always the first."""
    changes = list(fault.changes(spec))
    return [changes[crc32(f"{fault.name} {spec.name}".encode()) % len(changes)]] if changes else []


def measure(specs: Iterable[Spec], *, everywhere: bool = False) -> Iterator[Outcome]:
    """Each fault in each spec that has a place for it: at one place, or at all of them."""
    for spec in specs:
        for fault in FAULTS:
            for change in fault.changes(spec) if everywhere else chosen(fault, spec):
                yield _outcome(fault, spec, change)


def _outcome(fault: Fault, spec: Spec, change: Change) -> Outcome:
    source = Source(change.apply(), spec.source.path)
    found = diagnose(source)
    return Outcome(fault, spec, change, found, _is_fixed(source, found))


def _is_fixed(source: Source, found: tuple[Diagnostic, ...]) -> bool | None:
    if not found or applicable(found[0], source, unsafe=True) is None:
        return None
    fixed = apply_fixes(source, found[:1], unsafe=True)
    return _said(found[0]) not in _said_of(fixed.text, source.path)


@cache
def _said_of(text: str, path: str) -> frozenset[tuple[str, str, int]]:
    """What is said of a fixed text: that is nearly always the spec as it was."""
    return frozenset(map(_said, diagnose(Source(text, path))))


def _said(diagnostic: Diagnostic) -> tuple[str, str, int]:
    return diagnostic.code, diagnostic.message, diagnostic.span.line if diagnostic.span else 0
