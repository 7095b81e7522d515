"""Rows of modules as expressions, written from all instantiations of a class at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from archdsl.classplan import (
    ChoiceItem,
    ClassPlan,
    FlattenItem,
    InstanceItem,
    KeyedItem,
    LayerItem,
    PlanItem,
    RepeatItem,
    SequentialItem,
)
from archdsl.codegen.conditions import both, forbidden_by, way_to
from archdsl.codegen.expressions import call_doc, literal, negated, render
from archdsl.codegen.lanes import (
    ENTRY,
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
    lay_out,
    without_comments,
)
from archdsl.codegen.loops import CopyLoop, with_repeats
from archdsl.codegen.names import PythonScope
from archdsl.codegen.signature import WrittenClass
from archdsl.codegen.tracing import FormLeaf, either, fold, form_of
from archdsl.layers.volume import LETTERS, Volume
from archdsl.network.parts import ChoicePart
from archdsl.network.symbols import Constant, Form, Operation, Parameter, TracedName
from archdsl.text.comment import said_in
from archdsl.text.printing import blank_unprintable

#: What the sizes of a class's input are called.
SIZE_NAMES = {
    "C": "in_channels",
    "H": "height",
    "W": "width",
    "L": "length",
    "D": "depth",
}
#: What a size outside a class is called.
CAPTURED_NAMES = SIZE_NAMES | {"C": "channels"}
_CONDITION = 1  # the level of an expression before `if`


def letters_of(lanes: Sequence[Lane]) -> tuple[str, ...]:
    """The sizes of a class's input; of a vector those of an image, whose names are not free."""
    rank = agreed(lane.use.node(lane.use.plan.input).volume.rank or 2 for lane in lanes)
    return LETTERS[rank]


class RowConstructor:
    """Writes modules as expressions, for all lanes of a class at once."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        find: Callable[[ClassPlan], WrittenClass],
        title: str,
        *,
        has_volumes: bool,
        taken: Sequence[str] = (),
    ) -> None:
        self.find = find
        self.title = title
        # Volumes are worth a comment only where they are the same for every instantiation.
        self.has_volumes = has_volumes
        self.scope = PythonScope(("self", "x", "np", "layer", *taken))
        letters = letters_of(lanes)
        sizes = [letter for letter in letters if not lanes[0].is_literal(ENTRY + letter)]
        self.names = {
            ENTRY + letter: self.scope.give(SIZE_NAMES[letter]) for letter in reversed(sizes)
        }
        #: The symbols of the sizes of the input, the channels first.
        self.sizes = tuple(ENTRY + letter for letter in (letters[-1], *letters[:-1]))
        for name in lanes[0].use.arguments:
            self.names[name.name] = self.scope.give(name.name)
        self.is_looping = False
        #: The conditions of the ``if``s around.
        self.under: list[Form] = []
        self.used: set[str] = set()
        self.guards: list[str] = []

    def name(self, leaf: FormLeaf) -> str:
        """The name of a symbol, which is then used."""
        assert isinstance(leaf, Parameter), leaf
        if leaf.name not in self.names:
            assert leaf.name.startswith("@"), leaf
            self.names[leaf.name] = self.scope.give(CAPTURED_NAMES[leaf.name[-1]])
        self.used.add(leaf.name)
        return self.names[leaf.name]

    def text(self, form: Form, level: int = 0) -> str:
        return render(form, self.name, level)

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────

    def row(self, lanes: Sequence[Lane], rows: Sequence[tuple[PlanItem, ...]]) -> list[DocItem]:
        """The items of a ``nn.Sequential``, long repeats as a comprehension."""
        return list(with_repeats(self.plain_row(lanes, rows)))

    def plain_row(
        self, lanes: Sequence[Lane], rows: Sequence[tuple[PlanItem, ...]]
    ) -> list[DocItem]:
        agreed(map(len, rows))
        written: list[DocItem] = []
        for items in zip(*rows, strict=True):
            match items[0]:
                case ChoiceItem():
                    written += self._choice(lanes, all_of(items, ChoiceItem))
                case RepeatItem():
                    written += self._repeat(lanes, all_of(items, RepeatItem))
                case KeyedItem():
                    written.append(self._keyed(lanes, all_of(items, KeyedItem)))
                case _:
                    doc = self.item(lanes, items)
                    comment = self.agreed_comment(map(self._comment, lanes, items))
                    written.append(DocItem(doc, comment=comment, above=said_of(items)))
        return written

    def sequential(
        self, opening: str, lanes: Sequence[Lane], rows: Sequence[tuple[PlanItem, ...]]
    ) -> Doc:
        """A row as the arguments of a ``nn.Sequential``."""
        items = self.row(lanes, rows)
        is_keyed = agreed(any(isinstance(i, KeyedItem) for i in _inside(row)) for row in rows)
        if not is_keyed:
            return bracketed(opening, items)
        match items:
            case [DocItem(doc=ComprehensionDoc() as loop)]:
                inside: Doc = replace(loop, opening="OrderedDict(")
            case _:
                listed = DocItem(bracketed("[", items, "]"))
                inside = bracketed("OrderedDict(", [listed])
        return bracketed(opening, [DocItem(inside)])

    def _keyed(self, lanes: Sequence[Lane], items: Sequence[KeyedItem]) -> DocItem:
        """An item with its key as a pair."""
        inner = [item.item for item in items]
        key = agreed(self._key(lane, item.key) for lane, item in zip(lanes, items, strict=True))
        comment = self.agreed_comment(map(self._comment, lanes, inner))
        doc = self.item(lanes, inner)
        pair = bracketed("(", [DocItem(Verbatim(key)), DocItem(doc)])
        return DocItem(pair, comment=comment, above=said_of(inner))

    def _key(self, lane: Lane, name: str) -> str:
        """A key as Python writes it: an f-string where it has values that are none in the class."""
        if not isinstance(name, TracedName):
            return literal(name)
        forms = [lane.resolve(value) for value in name.values]
        if all(isinstance(form, Constant) for form in forms):
            return literal(str(name))
        parts = [name.texts[0]]
        for form, text in zip(forms, name.texts[1:], strict=True):
            parts += ("{", self.text(form), "}", text)
        return f'f"{"".join(parts)}"'

    def item(self, lanes: Sequence[Lane], items: Sequence[PlanItem]) -> Doc:
        """A module, or a row of modules, as an expression."""
        match items[0]:
            case LayerItem():
                leaves = zip(lanes, all_of(items, LayerItem), strict=True)
                return agreed(
                    call_doc(lane.call_of(lane.use.node(leaf.node)), self.name)
                    for lane, leaf in leaves
                )
            case FlattenItem():
                all_of(items, FlattenItem)
                return Verbatim("nn.Flatten()")
            case SequentialItem():
                rows = [row.items for row in all_of(items, SequentialItem)]
                return self.sequential("nn.Sequential(", lanes, rows)
            case InstanceItem():
                return self._instance(lanes, all_of(items, InstanceItem))
        raise AssertionError(items)

    def _instance(self, lanes: Sequence[Lane], items: Sequence[InstanceItem]) -> Doc:
        found: WrittenClass = agreed(self.find(item.plan) for item in items)
        docs = []
        for parameter in found.parameters:
            forms = [
                lane.resolve(found.argument(item.plan, parameter.symbol))
                for lane, item in zip(lanes, items, strict=True)
            ]
            form = agreed(forms)
            if parameter.default is None:
                docs.append(DocItem(Verbatim(self.text(form))))
            elif form != Constant.of(parameter.default):
                docs.append(DocItem(Verbatim(self.text(form)), f"{parameter.name}="))
        for lane, item in zip(lanes, items, strict=True):
            lane.volumes[item.plan.output] = self._behind(lane, item.plan, found)
        return bracketed(f"{found.name}(", docs)

    def _behind(self, lane: Lane, plan: ClassPlan, found: WrittenClass) -> Volume:
        """The volume after an object, in the symbols of the class around it."""

        def given(leaf: FormLeaf) -> Form:
            assert isinstance(leaf, Parameter)
            return lane.resolve_fully(found.argument(plan, leaf.name))

        volume = found.exit(plan)
        forms = [fold(form_of(size), given, adds=True) for size in volume.sizes]
        return with_forms(volume, forms)

    # ── Choices ──────────────────────────────────────────────────────────────────────────────

    def _choice(self, lanes: Sequence[Lane], choices: Sequence[ChoiceItem]) -> list[DocItem]:
        """The items that an ``if`` led to in each lane."""
        parts = [choice.part for choice in choices]
        tests = self.tests_of(lanes, parts)
        taken = sorted({part.taken for part in parts})
        self.guard(tests, parts[0], taken)
        said = said_of(parts)
        if len(taken) == 1:
            items = self.plain_row(lanes, [choice.items for choice in choices])
            return [replace(i, above=(*said, *i.above)) for i in items[:1]] + items[1:]
        before = forms_behind(lanes, [part.body.input for part in parts])
        bodies: dict[int, list[DocItem]] = {}
        for outcome in taken:
            some = [
                (lane, c) for lane, c in zip(lanes, choices, strict=True) if c.part.taken == outcome
            ]
            self.under.append(way_to(tests, outcome))
            bodies[outcome] = self.plain_row([lane for lane, _ in some], [c.items for _, c in some])
            self.under.pop()
        self.join_sizes(lanes, parts, tests, before)
        docs = {
            outcome: without_comments(bracketed("[", items, "]"))
            for outcome, items in bodies.items()
        }
        *first, last = taken
        cases = [(self.text(tests[o], _CONDITION), docs[o]) for o in first]
        otherwise = docs[last]
        if len(first) == 1 and not bodies[first[0]]:
            # The condition is negated, so that the case under it is not empty.
            condition = negated(tests[first[0]])
            cases, otherwise = [(self.text(condition, _CONDITION), docs[last])], docs[first[0]]
        return [DocItem(ConditionalDoc(tuple(cases), otherwise), above=said)]

    def tests_of(self, lanes: Sequence[Lane], parts: Sequence[ChoicePart]) -> list[Form]:
        """The conditions of an ``if`` and of its ``else if``, as far as any lane has come."""
        tests: list[Form] = []
        for index in range(max(len(part.tests) for part in parts)):
            found = [
                lane.resolve(part.tests[index])
                for lane, part in zip(lanes, parts, strict=True)
                if index < len(part.tests)
            ]
            tests.append(agreed(found))
        return tests

    def guard(self, tests: list[Form], part: ChoicePart, taken: list[int]) -> None:
        """Refuse arguments with which the spec would have led where no instantiation goes."""
        forbidden = forbidden_by(tests, part.count, taken)
        if not isinstance(forbidden, Constant):
            self.refuse(forbidden)

    def refuse(self, forbidden: Form) -> None:
        for condition in reversed(self.under):
            forbidden = both(condition, forbidden)
        if any(name.startswith("~") for name in names_in(forbidden)):
            raise DisagreementError
        text = self.text(forbidden)
        if text not in self.guards:
            self.guards.append(text)

    def guard_lines(self) -> Iterator[str]:
        """What is refused, at the top of ``__init__``."""
        for guard in self.guards:
            yield from lay_out(f"if {guard}:", Verbatim(""), 2)
            message = literal(f"{self.title}: no use in the spec has {guard}")
            yield from lay_out("raise ValueError(", Verbatim(message), 3, ")")

    def join_sizes(
        self,
        lanes: Sequence[Lane],
        parts: Sequence[ChoicePart],
        tests: list[Form],
        before: list[list[Form]],
    ) -> None:
        """The sizes after an ``if``: one for each way that was taken."""
        by_outcome: dict[int, list[Form]] = {}
        for lane, part, entry in zip(lanes, parts, before, strict=True):
            is_empty = part.body.output == part.body.input
            forms = entry if is_empty else forms_behind([lane], [part.body.output])[0]
            if by_outcome.setdefault(part.taken, forms) != forms:
                raise DisagreementError
        agreed(map(len, by_outcome.values()))
        *first, last = sorted(by_outcome)
        joined = by_outcome[last]
        for outcome in reversed(first):
            joined = [
                either(tests[outcome], one, other)
                for one, other in zip(by_outcome[outcome], joined, strict=True)
            ]
        for lane, part in zip(lanes, parts, strict=True):
            node = part.body.output
            lane.volumes[node] = with_forms(lane.use.node(node).volume, joined)

    # ── Repeats ──────────────────────────────────────────────────────────────────────────────

    def _repeat(self, lanes: Sequence[Lane], repeats: Sequence[RepeatItem]) -> list[DocItem]:
        count = agreed(
            lane.resolve(repeat.part.count) for lane, repeat in zip(lanes, repeats, strict=True)
        )
        if isinstance(count, Constant):
            return self._unrolled(lanes, repeats)
        if not any(repeat.copies for repeat in repeats):
            self.refuse(Operation("!=", (count, Constant.of(0))))
            return []
        loop = CopyLoop(self, lanes, repeats, count)
        around = len(self.under)
        if not all(repeat.copies for repeat in repeats):
            # What is refused in a copy is refused only where there are copies.
            self.under.append(Operation(">", (count, Constant.of(0))))
        try:
            return [loop.write()]
        except DisagreementError:
            loop.undo()
        finally:
            del self.under[around:]
        number = agreed(len(repeat.copies) for repeat in repeats)
        self.refuse(Operation("!=", (count, Constant.of(number))))
        return self._unrolled(lanes, repeats)

    def _unrolled(self, lanes: Sequence[Lane], repeats: Sequence[RepeatItem]) -> list[DocItem]:
        written: list[DocItem] = []
        agreed(len(repeat.copies) for repeat in repeats)
        for rows in zip(*(repeat.copies for repeat in repeats), strict=True):
            written += self.plain_row(lanes, rows)
        return written

    # ── Comments ─────────────────────────────────────────────────────────────────────────────

    def agreed_comment(self, comments: Iterator[str]) -> str:
        found = set(comments)
        return found.pop() if len(found) == 1 else ""

    def _comment(self, lane: Lane, item: PlanItem) -> str:
        """The volume after an item of a row, where the item affects it."""
        match item:
            case LayerItem(node=id):
                node = lane.use.node(id)
                before = lane.use.node(node.inputs[0]).volume
                is_news = node.volume != before or node.layer.has_weights
                return self.volume_comment(lane, id) if is_news else ""
            case InstanceItem(plan=plan):
                return self.volume_comment(lane, plan.output)
            case _:
                return ""

    def volume_comment(self, lane: Lane, node: int) -> str:
        volume = lane.use.node(node).volume
        # A vector's length is in the call itself.
        if not self.has_volumes or volume.is_vector:
            return ""
        return "×".join(map(str, volume.torch_sizes))


def _inside(items: Sequence[PlanItem]) -> Iterator[PlanItem]:
    """The items of a row and of its copies."""
    for item in items:
        match item:
            case RepeatItem(copies=copies):
                for copy in copies:
                    yield from _inside(copy)
            case _:
                yield item


def all_of(items: Sequence[Any], kind: type[Any]) -> list[Any]:
    """The same items, all of one kind. Errors: ``DisagreementError``."""
    if not all(isinstance(item, kind) for item in items):
        raise DisagreementError
    return list(items)


def said_of(things: Sequence[Any]) -> tuple[str, ...]:
    """The comment on a statement, where it is the same for all instantiations."""
    comments = {getattr(thing, "comment", None) for thing in things}
    comment = comments.pop() if len(comments) == 1 else None
    if comment is None:
        return ()
    plain = map(blank_unprintable, said_in((*comment.above, *comment.behind)))
    return tuple(line for line in plain if line.strip())


def forms_behind(lanes: Sequence[Lane], nodes: Sequence[int]) -> list[list[Form]]:
    """By lane, the forms of the sizes after a node."""
    return [
        [form_of(size) for size in lane.volume_of(node).sizes]
        for lane, node in zip(lanes, nodes, strict=True)
    ]
