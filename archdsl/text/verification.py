"""Whether fixes are safe: each text that they would give is checked again.

The caller says what checking is; this module compares what is found before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from time import monotonic
from typing import Protocol, TypeAlias

from archdsl.records import dataclass
from archdsl.text.diagnostics import Diagnostic, Edit, Fix, Severity
from archdsl.text.fixes import before_edits, edited, meet
from archdsl.text.source import Source

#: Up to this many fixes of a text are also tried one by one; more of them only together.
MAX_ALONE = 8
#: After this many texts, or this many seconds, no further fix is called safe.
MAX_TRIALS = 40
MAX_SECONDS = 5.0
#: How many times in a row fixes may bring to light errors that have fixes of their own.
MAX_ROUNDS = 5
#: Reading, or elaborating, a text is given up after this many errors: what is wrong with the rest
#: is not known.
ENOUGH_UNREAD, ENOUGH_FOUND = 20, 100

#: A code at a place: the same mistake, whatever sizes its message names.
_Key: TypeAlias = tuple[str, str, int]


class CheckedNetwork(Protocol):
    """What has to be known about a network without a fault."""

    @property
    def meaning(self) -> object:
        """What it computes: equal for equal networks."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a check says about a text: its diagnostics, and the networks without a fault.

    ``networks`` are by name; None where the text could not even be read. ``others`` are diagnostics
    of files that use this one.
    """

    diagnostics: tuple[Diagnostic, ...]
    networks: Mapping[str, CheckedNetwork] | None
    others: tuple[Diagnostic, ...] = ()

    @property
    def all(self) -> tuple[Diagnostic, ...]:
        return (*self.diagnostics, *self.others)


#: Checks a file again with some texts changed, by their paths.
Examine: TypeAlias = Callable[[Mapping[str, Source]], Examined]


def verify(before: Examined, examine: Examine) -> tuple[Diagnostic, ...]:
    """The diagnostics, their fixes marked as safe where the fixed text has been found good.

    That is: what was wrong is gone, there is no new error, and every network that was right
    computes what it did. A new error does not count if its own fix removes it again. A fix of a
    warning may not bring new warnings either. All fixes are tried together as well, for they may be
    carried out at once, and an error that one of them leaves may hide what another does.
    """
    tried = [d for d in before.diagnostics if _candidate(d) is not None]
    good = {id(d) for d in _find_good(tried, _Trials(examine, before))}
    return tuple(_marked(d) if id(d) in good else d for d in before.diagnostics)


def _find_good(tried: list[Diagnostic], trials: _Trials) -> list[Diagnostic]:
    fitting = _without_meeting(tried)
    harm = trials.find_harm(fitting)
    while harm:
        # The fixes of lines that are wrong now are to blame.
        rest = [d for d in fitting if not harm.intersection(_lines(d))]
        if not rest or len(rest) == len(fitting):
            break
        fitting, harm = rest, trials.find_harm(rest)
    if harm is not None and trials.before.networks is None:
        return []
    if len(tried) == 1 or len(tried) > MAX_ALONE:
        return fitting if harm is None else []
    alone = [d for d in (fitting if harm is None else tried) if trials.find_harm([d]) is None]
    if harm is None and len(alone) == len(fitting):
        return alone
    return alone if trials.find_harm(_without_meeting(alone)) is None else []


#: Lines of files on which something new is wrong; empty where the harm has no place.
_Harm: TypeAlias = frozenset[tuple[str, int]]


@dataclass(slots=True)
class _Trials:
    """Checks of fixed texts against the original text, as many as there is time for."""

    examine: Examine
    before: Examined
    left: int = MAX_TRIALS
    ends: float = field(default_factory=lambda: monotonic() + MAX_SECONDS)

    def find_harm(self, tried: Sequence[Diagnostic]) -> _Harm | None:
        """What is wrong after the fixes of some diagnostics together; None where all is well."""
        if not tried:
            return None
        fixed = {_key(d) for d in tried}
        old = {_key(d) for d in self.before.all} - fixed
        is_warning = all(d.severity is Severity.WARNING for d in tried)
        horizon = _horizon(self.before)
        texts: dict[str, Source] = {}
        harm: _Harm | None = None
        for _ in range(MAX_ROUNDS):
            if self.left <= 0 or monotonic() > self.ends:
                break
            self.left -= 1
            changed = _apply([edit for d in tried for edit in _edits(d)])
            texts |= {source.path: source for source, _ in changed.values()}
            after = self.examine(texts)
            if not self._keeps_networks(after):
                break
            places = [_moved_back(_key(d), changed) for d in after.all]
            new = [
                (d, place)
                for d, place in zip(after.all, places, strict=True)
                if place not in old
                and (is_warning or d.severity is Severity.ERROR)
                and (place in fixed or horizon is None or place[1:] <= horizon)
            ]
            if not new:
                return None
            if harm is None:
                harm = frozenset(_line(place, changed) for _, place in new)
            if any(_candidate(d) is None or place in fixed for d, place in new):
                break
            # What comes to light has fixes of its own, which are tried in turn.
            tried = [d for d, _ in new]
            if len(_without_meeting(tried)) < len(tried):
                break
            fixed, horizon = {_key(d) for d in tried}, None
            old = {_key(d) for d in after.all} - fixed
        return harm or frozenset()

    def _keeps_networks(self, after: Examined) -> bool:
        """Whether every network that was right still means the same."""
        before = self.before.networks or {}
        networks = after.networks or {}
        return all(
            name in networks and networks[name].meaning == before[name].meaning for name in before
        )


def _candidate(diagnostic: Diagnostic) -> Fix | None:
    """The first fix of a diagnostic that could be safe."""
    return next((fix for fix in diagnostic.fixes if fix.keeps_choices), None)


def _edits(diagnostic: Diagnostic) -> tuple[Edit, ...]:
    fix = _candidate(diagnostic)
    return fix.edits if fix else ()


def _lines(diagnostic: Diagnostic) -> set[tuple[str, int]]:
    """Where the fix of a diagnostic changes something, and where the diagnostic is."""
    spans = [edit.span for edit in _edits(diagnostic)]
    if diagnostic.span:
        spans.append(diagnostic.span)
    return {(span.source.path, span.line) for span in spans}


def _marked(diagnostic: Diagnostic) -> Diagnostic:
    chosen = _candidate(diagnostic)
    fixes = tuple(replace(fix, is_safe=True) if fix is chosen else fix for fix in diagnostic.fixes)
    return replace(diagnostic, fixes=fixes)


def _without_meeting(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics whose fixes can be carried out together; of those that meet, the first."""
    taken: list[Edit] = []
    chosen: list[Diagnostic] = []
    for diagnostic in diagnostics:
        edits = _edits(diagnostic)
        if not any(meet(edit, other) for edit in edits for other in taken):
            taken += edits
            chosen.append(diagnostic)
    return chosen


def _horizon(before: Examined) -> tuple[str, int] | None:
    """The last place whose errors are known, where the check gave up after too many errors."""
    places = [_key(d)[1:] for d in before.diagnostics if d.severity is Severity.ERROR]
    enough = ENOUGH_UNREAD if before.networks is None else ENOUGH_FOUND
    return max(places) if len(places) >= enough else None


def _key(diagnostic: Diagnostic) -> _Key:
    start = diagnostic.span.start if diagnostic.span else -1
    return diagnostic.code, diagnostic.file, start


def _apply(edits: Iterable[Edit]) -> dict[str, tuple[Source, list[Edit]]]:
    """The texts that edits change, by path, each with its edits."""
    by_path: dict[str, list[Edit]] = {}
    for edit in edits:
        by_path.setdefault(edit.span.source.path, []).append(edit)
    changed: dict[str, tuple[Source, list[Edit]]] = {}
    for path, own in by_path.items():
        source = own[0].span.source
        changed[path] = Source(edited(source.text, own), path), own
    return changed


def _line(place: _Key, changed: Mapping[str, tuple[Source, list[Edit]]]) -> tuple[str, int]:
    """The line of a place before the edits; 0 in a file that has none."""
    _, path, start = place
    if path not in changed or start < 0:
        return path, 0
    return path, changed[path][1][0].span.source.locate(start)[0]


def _moved_back(key: _Key, changed: Mapping[str, tuple[Source, list[Edit]]]) -> _Key:
    """The key of the same mistake before the edits."""
    code, path, start = key
    if path not in changed or start < 0:
        return key
    return code, path, before_edits(changed[path][1])(start)
