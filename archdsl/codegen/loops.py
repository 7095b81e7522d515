"""Copies whose number an argument decides: one loop, right for every number.

What flows from copy to copy is a symbol at first. Where the text of a copy asks for it, it is
written as a function of the copy's number, which follows from what one copy makes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from archdsl.classplan import PlanItem, RepeatItem
from archdsl.codegen.lanes import (
    INDEX,
    DisagreementError,
    Lane,
    agreed,
    names_in,
    with_forms,
)
from archdsl.codegen.layout import (
    ComprehensionDoc,
    ConditionalDoc,
    Doc,
    DocItem,
    Verbatim,
    bracketed,
    flat,
    without_comments,
)
from archdsl.codegen.names import PythonScope
from archdsl.codegen.tracing import add, divide, fold, form_of, multiply
from archdsl.network.symbols import Constant, Form, Operation, Parameter, substitute

#: From how many copies on they become a comprehension; copies of several items must also have
#: this many items in all.
LONG_REPEAT = 3
LONG_LINES = 12


class RowWriter(Protocol):
    """The constructor around a loop, which writes the rows inside."""

    scope: PythonScope
    names: dict[str, str]
    used: set[str]
    guards: list[str]
    is_looping: bool

    def text(self, form: Form, level: int = 0) -> str: ...

    def plain_row(
        self, lanes: Sequence[Lane], rows: Sequence[tuple[PlanItem, ...]]
    ) -> list[DocItem]:
        """The items of a row, from all lanes at once."""


class CopyLoop:
    """The loop over the copies of a repeat, for all lanes."""

    def __init__(
        self,
        constructor: RowWriter,
        lanes: Sequence[Lane],
        repeats: Sequence[RepeatItem],
        count: Form,
    ) -> None:
        self.constructor = constructor
        self.lanes = lanes
        self.repeats = repeats
        self.count = count
        self.nodes = [
            repeat.part.copies[0].input if repeat.copies else repeat.part.output
            for repeat in repeats
        ]
        self.entries = [lane.volume_of(node) for lane, node in zip(lanes, self.nodes, strict=True)]

        #: What was known before.
        self.volumes = [dict(lane.volumes) for lane in lanes]
        self.used = set(constructor.used)
        self.guards = list(constructor.guards)

    def undo(self) -> None:
        """Forget what the attempt has found."""
        for lane, known in zip(self.lanes, self.volumes, strict=True):
            lane.volumes = dict(known)
        self.constructor.used = set(self.used)
        self.constructor.guards = list(self.guards)

    def write(self) -> DocItem:
        """The copies as a comprehension. Errors: ``DisagreementError``."""
        if self.constructor.is_looping:
            raise DisagreementError  # what flows through both loops would have the same name
        self.constructor.is_looping = True
        for lane, repeat in zip(self.lanes, self.repeats, strict=True):
            lane.counted = repeat.part.loop
        try:
            return self._write()
        finally:
            self.constructor.is_looping = False
            for lane in self.lanes:
                lane.counted = None

    def _write(self) -> DocItem:
        entry = agreed([form_of(size) for size in volume.sizes] for volume in self.entries)
        flowing = [Parameter(f"~{axis}") for axis in self.entries[0].letters]
        for symbol in flowing:
            # A name that no other text contains, to see where it is asked for.
            self.constructor.names[symbol.name] = f"\0{symbol.name}\0"
        self.constructor.names[INDEX] = self.constructor.scope.give("i")
        self.constructor.scope.taken.discard(self.constructor.names[INDEX])
        docs, exits = self._copies([[*flowing]])
        steps = [_Carried(f, e, x) for f, e, x in zip(flowing, entry, exits, strict=True)]
        is_asked = {s.symbol.name: s.symbol.name in self.constructor.used for s in steps}
        if any(is_asked.values()):
            shown = [
                [s.at(Parameter(INDEX)) if is_asked[s.symbol.name] else s.symbol for s in steps]
            ]
            self.constructor.used -= {*is_asked, INDEX}
            docs, _ = self._copies(shown)
        is_counted = INDEX in self.constructor.used
        self.constructor.used -= {*is_asked, INDEX}
        always = all(repeat.copies for repeat in self.repeats)
        for lane, repeat, known in zip(self.lanes, self.repeats, self.volumes, strict=True):
            node = repeat.part.output
            volume = lane.use.node(node).volume
            forms = [step.behind(self.count, always=always) for step in steps]
            lane.volumes |= known
            lane.volumes[node] = with_forms(volume, forms)
        variable = self.constructor.names[INDEX] if is_counted else "_"
        if any("\0" in flat(doc) for doc in docs):
            raise DisagreementError
        return DocItem(comprehension(docs, variable, self.constructor.text(self.count)))

    def _copies(self, shown: Sequence[Sequence[Form]]) -> tuple[list[Doc], list[Form]]:
        """The text of each copy, with these sizes flowing into it, and the sizes after it."""
        texts = []
        exits = []
        refused = []
        guards = self.constructor.guards
        for lane, repeat, known in zip(self.lanes, self.repeats, self.volumes, strict=True):
            for chain, row in zip(repeat.part.copies, repeat.copies, strict=True):
                if chain.output in known and chain.output != chain.input:
                    raise DisagreementError  # it refers to an earlier part, and goes on with that
                volume = lane.use.node(chain.input).volume
                if len(volume.sizes) != len(shown[0]):
                    raise DisagreementError
                lane.volumes[chain.input] = with_forms(volume, shown[0])
                lane.current = chain.input
                self.constructor.guards = []
                items = self.constructor.plain_row([lane], [row])
                texts.append([item.doc for item in items])
                refused.append(self.constructor.guards)
                behind = lane.volume_of(chain.output)
                exits.append([form_of(size) for size in behind.sizes])
                # Later copies may refer to the part that the first one began with.
                if chain.input in known:
                    lane.volumes[chain.input] = known[chain.input]
        result = agreed(exits)
        if len(result) != len(shown[0]):
            raise DisagreementError
        # One copy may refuse, as it goes another way, what another copy is built with.
        new = [guard for guard in agreed(refused) if guard not in guards]
        self.constructor.guards = guards + new
        return agreed(texts), result


class _Carried:
    """A size that flows from copy to copy: before the first, and what one copy makes of it."""

    def __init__(self, symbol: Parameter, entry: Form, exit: Form) -> None:
        self.symbol = symbol
        self.entry = entry
        self.exit = exit

    @property
    def _grows(self) -> Form | None:
        """What one copy adds to it; None where it does something else."""
        rest = add(self.exit, self.symbol, -1)
        return None if any(name.startswith("~") for name in names_in(rest)) else rest

    @property
    def _is_fixed(self) -> bool:
        """Whether it is the same after each copy."""
        return not any(name.startswith("~") for name in names_in(self.exit))

    @property
    def _is_counted(self) -> bool:
        """Whether it follows from the number of the copy alone, as with a list."""
        return {name for name in names_in(self.exit) if name.startswith("~")} == {INDEX}

    def _behind_copy(self, index: Form) -> Form:
        """The size after the copy before the one with this number, whatever flowed into it."""
        if self._is_fixed:
            return self.exit
        before = substitute(self.exit, {INDEX: add(index, Constant.of(1), -1)})
        return fold(before, lambda leaf: leaf, adds=True)

    def at(self, index: Form) -> Form:
        """The size before the copy with this number."""
        if self._is_counted or (self._is_fixed and self.exit != self.entry):
            is_first = Operation("==", (index, Constant.of(0)))
            return Operation("if", (is_first, self.entry, self._behind_copy(index)))
        return self._after(index)

    def behind(self, count: Form, *, always: bool) -> Form:
        """The size after all copies; ``always`` where each instantiation has at least one."""
        if self._is_counted or (self._is_fixed and self.exit != self.entry):
            last = self._behind_copy(count)
            if always:
                return last
            is_any = Operation(">", (count, Constant.of(0)))
            return Operation("if", (is_any, last, self.entry))
        return self._after(count)

    def _after(self, count: Form) -> Form:
        """The size after a number of copies."""
        if self._is_fixed:
            return self.entry
        grows = self._grows
        if grows is not None:
            return add(self.entry, multiply(grows, count))
        match self.exit:
            case Operation(operator="*", operands=(Constant() as factor, self.symbol)):
                return multiply(self.entry, Operation("**", (factor, count)))
            case Operation(
                operator="//" | "÷" as sign, operands=(self.symbol, Constant() as divisor)
            ):
                return divide(self.entry, Operation("**", (divisor, count)), sign)
            case _:
                raise DisagreementError


# ── Repeats that are written out ─────────────────────────────────────────────────────────────


def with_repeats(items: list[DocItem]) -> Iterator[DocItem]:
    """The items, with runs that repeat often enough as ``*(… for _ in range(n))``."""
    texts = [flat(item.doc) + item.comment for item in items]
    index = 0
    while index < len(items):
        period, copies = _repeat_at(texts, index)
        if copies < LONG_REPEAT:
            yield items[index]
            index += 1
            continue
        last = index + period * copies
        comments = [item.comment for item in items[index:last] if item.comment]
        docs = [item.doc for item in items[index : index + period]]
        yield DocItem(
            comprehension(docs, "_", str(copies)),
            comment=comments[-1] if comments else "",
        )
        index = last


def _repeat_at(texts: list[str], start: int) -> tuple[int, int]:
    """The period and the number of copies of the repeat that begins at an index."""
    best = (1, 1)
    for period in range(1, min(8, len(texts) - start) + 1):
        copies = 1
        first = texts[start : start + period]
        while texts[start + copies * period : start + (copies + 1) * period] == first:
            copies += 1
        is_long = copies >= LONG_REPEAT and (period == 1 or copies * period >= LONG_LINES)
        if is_long and copies * period > best[0] * best[1]:
            best = (period, copies)
    return best


def comprehension(docs: list[Doc], variable: str, count: str) -> Doc:
    """Copies as ``*(… for _ in range(n))``."""
    clause = DocItem(Verbatim(f"{variable} in range({count})"), "for ")
    plain = len(docs) == 1 and not isinstance(docs[0], (ConditionalDoc, ComprehensionDoc))
    if plain:
        return ComprehensionDoc("*(", without_comments(docs[0]), (clause,), ")")
    layers = bracketed("(", [DocItem(without_comments(doc)) for doc in docs])
    return ComprehensionDoc(
        "*(", Verbatim("layer"), (clause, DocItem(layers, "for layer in ")), ")"
    )
