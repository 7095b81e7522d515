"""The ``__init__`` of a class: modules in execution order, written from all uses of the class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from archdsl.classplan import (
    RESERVED_ATTRIBUTES,
    ApplyStep,
    ChoiceItem,
    ClassPlan,
    CopiesStep,
    FlattenItem,
    ForkStep,
    HeadStep,
    InstanceItem,
    LayerItem,
    OptionStep,
    PlanItem,
    PlanStep,
    ReferenceStep,
    RepeatItem,
    SequentialItem,
    applies_of,
)
from archdsl.codegen.conditions import both, forbidden_by, way_to
from archdsl.codegen.expressions import call_doc, literal, negated, render
from archdsl.codegen.lanes import (
    AXES,
    DisagreementError,
    Lane,
    agreed,
    names_in,
    with_forms,
)
from archdsl.codegen.layout import (
    BracketedDoc,
    ConditionalDoc,
    Doc,
    DocItem,
    Verbatim,
    bracketed,
    comment_lines,
    fits_inside,
    lay_out,
    without_comments,
)
from archdsl.codegen.loops import CopyLoop, with_repeats
from archdsl.codegen.names import PythonScope
from archdsl.codegen.tracing import FormLeaf, fold, form_of
from archdsl.codegen.turns import Guest, Turn, Way
from archdsl.layers import MergeLayer
from archdsl.layers.volume import Volume
from archdsl.network.parts import ChoicePart
from archdsl.network.symbols import Constant, Form, Operation, Parameter, Symbolic, Value
from archdsl.text.comment import said_in
from archdsl.text.printing import blank_unprintable

#: What the sizes of a class's input are called.
SIZE_NAMES = {"C": "in_channels", "H": "height", "W": "width"}
#: What a size outside a class is called.
CAPTURED_NAMES = {"C": "channels", "H": "height", "W": "width"}
_CONDITION = 1  # the level of an expression before `if`
_BODY = 2  # levels of indentation of a method's body


@dataclass(frozen=True, slots=True)
class ClassParameter:
    """An argument of a constructor: the symbol it stands for, its name, type and default."""

    symbol: str
    name: str
    type: str
    default: Value | None = None

    @property
    def text(self) -> str:
        default = "" if self.default is None else f" = {literal(self.default)}"
        return f"{self.name}: {self.type}{default}"


class WrittenClass(Protocol):
    """A class below the one at hand, as far as its objects are concerned."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> tuple[ClassParameter, ...]: ...

    def argument(self, plan: ClassPlan, symbol: str) -> Symbolic:
        """What a use gives for a parameter, in the terms of the spec around it."""

    def exit(self, plan: ClassPlan) -> Volume:
        """The volume behind a use, over the parameters of the class."""


class Constructor:
    """Writes the modules of one class, for all its lanes at once."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        find: Callable[[ClassPlan], WrittenClass],
        title: str,
        *,
        has_volumes: bool,
        taken: Sequence[str] = (),
        unasked: Collection[str] = (),
    ) -> None:
        self.find = find
        self.title = title
        # Volumes are worth a comment only where they are the same for every use.
        self.has_volumes = has_volumes
        self.scope = PythonScope(("self", "x", "np", "layer", *taken))
        self.names = {axis: self.scope.give(SIZE_NAMES[axis]) for axis in reversed(AXES)}
        for name in lanes[0].use.arguments:
            self.names[name.name] = self.scope.give(name.name)
        self.is_network = False
        self.is_looping = False
        #: The conditions of the ``if``s around.
        self.under: list[Form] = []
        self.used: set[str] = set()
        self.guards: list[str] = []
        self.indent = _BODY
        self.body: list[str] = []
        #: The names of what `self` has, and those of them that are conditions.
        applies = [apply for lane in lanes for apply in applies_of(lane.use.plan.steps)]
        self.attributes = PythonScope((*RESERVED_ATTRIBUTES, *(a.attribute for a in applies)))
        #: Those that are written so far; and those that are `nn.Identity()` where an `if` leads
        #: past them.
        self.written: set[str] = set()
        self.defaults: set[str] = set()
        self.constants: list[str] = []
        #: Those that ``forward`` turned out not to ask.
        self.unasked = unasked
        self.flags: list[str] = []
        #: By the text of a condition, the attribute that holds it for all of the class.
        self.flag_of: dict[str, str] = {}
        #: By lane, the layers that join branches, by node.
        self.merges: dict[int, dict[int, MergeLayer]] = {id(lane): {} for lane in lanes}

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
                    written += self._choice(lanes, _all_of(items, ChoiceItem))
                case RepeatItem():
                    written += self._repeat(lanes, _all_of(items, RepeatItem))
                case _:
                    doc = self.item(lanes, items)
                    comment = self._agreed_comment(map(self._comment, lanes, items))
                    written.append(DocItem(doc, comment=comment, above=_said(items)))
        return written

    def item(self, lanes: Sequence[Lane], items: Sequence[PlanItem]) -> Doc:
        """A module, or a row of modules, as an expression."""
        match items[0]:
            case LayerItem():
                leaves = zip(lanes, _all_of(items, LayerItem), strict=True)
                return agreed(
                    call_doc(lane.call_of(lane.use.node(leaf.node)), self.name)
                    for lane, leaf in leaves
                )
            case FlattenItem():
                _all_of(items, FlattenItem)
                return Verbatim("nn.Flatten()")
            case SequentialItem():
                rows = [row.items for row in _all_of(items, SequentialItem)]
                return bracketed("nn.Sequential(", self.row(lanes, rows))
            case InstanceItem():
                return self._instance(lanes, _all_of(items, InstanceItem))
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
        """The volume behind an object, in the symbols of the class around it."""

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
        tests = self._tests(lanes, parts)
        taken = sorted({part.taken for part in parts})
        self._guard(tests, parts[0], taken)
        said = _said(parts)
        if len(taken) == 1:
            items = self.plain_row(lanes, [choice.items for choice in choices])
            return [replace(i, above=(*said, *i.above)) for i in items[:1]] + items[1:]
        before = _forms(lanes, [part.body.input for part in parts])
        bodies: dict[int, list[DocItem]] = {}
        for outcome in taken:
            some = [
                (lane, c) for lane, c in zip(lanes, choices, strict=True) if c.part.taken == outcome
            ]
            self.under.append(way_to(tests, outcome))
            bodies[outcome] = self.plain_row([lane for lane, _ in some], [c.items for _, c in some])
            self.under.pop()
        self._join(lanes, parts, tests, before)
        docs = {
            outcome: without_comments(bracketed("[", items, "]"))
            for outcome, items in bodies.items()
        }
        *first, last = taken
        cases = [(self.text(tests[o], _CONDITION), docs[o]) for o in first]
        otherwise = docs[last]
        if len(first) == 1 and not bodies[first[0]]:
            # What stands under the condition is something.
            condition = negated(tests[first[0]])
            cases, otherwise = [(self.text(condition, _CONDITION), docs[last])], docs[first[0]]
        return [DocItem(ConditionalDoc(tuple(cases), otherwise), above=said)]

    def _tests(self, lanes: Sequence[Lane], parts: Sequence[ChoicePart]) -> list[Form]:
        """The conditions of an ``if`` and of its ``else if``, as far as a lane has come."""
        tests: list[Form] = []
        for index in range(max(len(part.tests) for part in parts)):
            found = [
                lane.resolve(part.tests[index])
                for lane, part in zip(lanes, parts, strict=True)
                if index < len(part.tests)
            ]
            tests.append(agreed(found))
        return tests

    def _guard(self, tests: list[Form], part: ChoicePart, taken: list[int]) -> None:
        """Refuse arguments with which the spec would have led where no use of the class goes."""
        forbidden = forbidden_by(tests, part.count, taken)
        if not isinstance(forbidden, Constant):
            self._refuse(forbidden)

    def _refuse(self, forbidden: Form) -> None:
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

    def _join(
        self,
        lanes: Sequence[Lane],
        parts: Sequence[ChoicePart],
        tests: list[Form],
        before: list[list[Form]],
    ) -> None:
        """The sizes behind an ``if``: one for each way that was taken."""
        by_outcome: dict[int, list[Form]] = {}
        for lane, part, entry in zip(lanes, parts, before, strict=True):
            is_empty = part.body.output == part.body.input
            forms = entry if is_empty else _forms([lane], [part.body.output])[0]
            if by_outcome.setdefault(part.taken, forms) != forms:
                raise DisagreementError
        agreed(map(len, by_outcome.values()))
        *first, last = sorted(by_outcome)
        joined = by_outcome[last]
        for outcome in reversed(first):
            joined = [
                one if one == other else Operation("if", (tests[outcome], one, other))
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
            self._refuse(Operation("!=", (count, Constant.of(0))))
            return []
        loop = CopyLoop(self, lanes, repeats, count)
        around = len(self.under)
        if not all(repeat.copies for repeat in repeats):
            # What is refused in a copy is refused where there are copies.
            self.under.append(Operation(">", (count, Constant.of(0))))
        try:
            return [loop.write()]
        except DisagreementError:
            loop.undo()
        finally:
            del self.under[around:]
        number = agreed(len(repeat.copies) for repeat in repeats)
        self._refuse(Operation("!=", (count, Constant.of(number))))
        return self._unrolled(lanes, repeats)

    def _unrolled(self, lanes: Sequence[Lane], repeats: Sequence[RepeatItem]) -> list[DocItem]:
        written: list[DocItem] = []
        agreed(len(repeat.copies) for repeat in repeats)
        for rows in zip(*(repeat.copies for repeat in repeats), strict=True):
            written += self.plain_row(lanes, rows)
        return written

    # ── Steps ────────────────────────────────────────────────────────────────────────────────

    def steps(
        self, lanes: Sequence[Lane], steps: Sequence[tuple[PlanStep, ...]]
    ) -> list[tuple[Way, ...]]:
        """Write the attributes of steps; by lane, the steps as ``forward`` goes through them."""
        agreed(map(len, steps))
        gone: list[list[Way]] = [[] for _ in lanes]
        for row in zip(*steps, strict=True):
            for index, more in enumerate(self._step(lanes, row)):
                gone[index] += more
        return [tuple(done) for done in gone]

    def _step(self, lanes: Sequence[Lane], steps: Sequence[PlanStep]) -> list[tuple[Way, ...]]:
        match steps[0]:
            case ApplyStep():
                applies = _all_of(steps, ApplyStep)
                self._attribute(lanes, applies)
                for lane, apply in zip(lanes, applies, strict=True):
                    lane.trail += (apply.output, *apply.pieces)
                    if apply.pieces:
                        lane.split(lane.use.node(apply.output), apply.pieces)
                    else:
                        lane.current = apply.output
            case HeadStep():
                heads = _all_of(steps, HeadStep)
                agreed(head.weight for head in heads)
                before = [lane.current for lane in lanes]
                self._attribute(lanes, [head.apply for head in heads])
                for lane, node in zip(lanes, before, strict=True):
                    lane.current = node
            case ReferenceStep():
                references = _all_of(steps, ReferenceStep)
                agreed(reference.part.target for reference in references)
                for lane, reference in zip(lanes, references, strict=True):
                    lane.current = reference.part.node
            case ForkStep():
                return [(fork,) for fork in self._fork(lanes, _all_of(steps, ForkStep))]
            case OptionStep():
                return self._option(lanes, _all_of(steps, OptionStep))
            case CopiesStep():
                return self._copies(lanes, _all_of(steps, CopiesStep))
        return [(step,) for step in steps]

    def _attribute(self, lanes: Sequence[Lane], applies: Sequence[ApplyStep]) -> None:
        attribute = agreed(apply.attribute for apply in applies)
        if attribute in self.defaults:
            raise DisagreementError  # it is another one, and would take the place of that
        self.written.add(attribute)
        agreed((a.flatten, a.each, len(a.pieces)) for a in applies)
        agreed(tuple(reference.target for reference in apply.references) for apply in applies)
        items = [apply.item for apply in applies]
        if applies[0].each:
            rows = [row.items for row in _all_of(items, SequentialItem)]
            listed = DocItem(bracketed("[", self.row(lanes, rows), "]"))
            doc: Doc = bracketed("nn.ModuleList(", [listed])
        else:
            doc = self.item(lanes, items)
        comment = self._agreed_comment(
            self._volume_comment(lane, apply.output) if _is_news(lane, apply) else ""
            for lane, apply in zip(lanes, applies, strict=True)
        )
        said = (*_said(applies), *_said(items))
        if isinstance(doc, BracketedDoc) and doc.items and doc.items[0].above:
            # What is said of the first of a row is read before the row.
            first, *rest = doc.items
            said = (*said, *first.above)
            doc = replace(doc, items=(replace(first, above=()), *rest))
        doc, comment = _with_one_comment(doc, comment)
        self.body += comment_lines(said, self.indent)
        self.body += lay_out(f"self.{attribute} = ", doc, self.indent, comment=comment)

    def _fork(self, lanes: Sequence[Lane], forks: Sequence[ForkStep]) -> list[ForkStep]:
        agreed(len(fork.branches) for fork in forks)
        start_of_code = len(self.body)
        starts = [lane.current for lane in lanes]
        entries = [lane.volume_of(lane.current) for lane in lanes]
        ends: list[list[Volume]] = [[] for _ in lanes]
        branches: list[list[tuple[Any, ...]]] = [[] for _ in lanes]
        for index in range(len(forks[0].branches)):
            for lane, start, entry in zip(lanes, starts, entries, strict=True):
                lane.current = start
                lane.volumes[start] = entry
            gone = self.steps(lanes, [fork.branches[index] for fork in forks])
            for lane, end, done, steps in zip(lanes, ends, branches, gone, strict=True):
                end.append(lane.volume_of(lane.current))
                done.append(steps)
        if self.body[start_of_code:]:
            self.body[start_of_code:start_of_code] = comment_lines(_said(forks), self.indent)
        for lane, fork, end in zip(lanes, forks, ends, strict=True):
            self.merges[id(lane)][fork.node] = lane.join(lane.use.node(fork.node), end)
            lane.current = fork.node
            lane.trail.append(fork.node)
        return [
            replace(fork, branches=tuple(done)) for fork, done in zip(forks, branches, strict=True)
        ]

    # ── Options ──────────────────────────────────────────────────────────────────────────────

    def _option(
        self, lanes: Sequence[Lane], options: Sequence[OptionStep]
    ) -> list[tuple[Way, ...]]:
        parts = [option.part for option in options]
        tests = self._tests(lanes, parts)
        taken = sorted({part.taken for part in parts})
        self._guard(tests, parts[0], taken)
        said = comment_lines(_said(parts), self.indent)
        start = len(self.body)
        if len(taken) == 1:
            gone = self.steps(lanes, [option.steps for option in options])
            for lane, part in zip(lanes, parts, strict=True):
                lane.current = part.body.output
            if self.body[start:]:
                self.body[start:start] = said
            return gone
        before = _forms(lanes, [part.body.input for part in parts])
        trails = [list(lane.trail) for lane in lanes]
        written, known = {*self.written}, {*self.defaults}
        defaults = {*known}
        outer = self.body
        self.indent += 1
        found: dict[int, list[str]] = {}
        ways: dict[int, tuple[Way, ...]] = {}
        for outcome in taken:
            some, there = _of_outcome(lanes, options, outcome)
            self.body = found[outcome] = []
            self.defaults = {*known}
            self.under.append(way_to(tests, outcome))
            steps = self.steps(some, [option.steps for option in there])
            self.under.pop()
            ways |= {id(lane): gone for lane, gone in zip(some, steps, strict=True)}
            defaults |= self.defaults
        self.indent -= 1
        self.body = outer
        self._join(lanes, parts, tests, before)
        for lane, part, trail in zip(lanes, parts, trails, strict=True):
            lane.current = part.body.output
            lane.trail = trail
        attribute = _only_attribute(options)
        if not attribute:
            done = self._turn(lanes, parts, tests, ways)
        elif any(found.values()):
            if attribute in written:
                raise DisagreementError
            defaults.add(attribute)
            declared = f"self.{attribute}: nn.Module = nn.Identity()"
            self.body += lay_out(declared, Verbatim(""), self.indent)
            done = [(ApplyStep(attribute, SequentialItem(()), lane.current),) for lane in lanes]
        else:
            done = [() for _ in lanes]
        if any(found.values()):
            self.body += self._conditional_lines(tests, taken, found)
            self.body[start:start] = said
        self.defaults = defaults
        for lane in lanes:
            lane.trail.append(lane.current)
        return done

    def _turn(
        self,
        lanes: Sequence[Lane],
        parts: Sequence[ChoicePart],
        tests: Sequence[Form],
        ways: Mapping[int, tuple[Way, ...]],
    ) -> list[tuple[Way, ...]]:
        """An ``if`` that changes how things are wired: ``forward`` asks where it leads.

        TorchScript compiles the way alone that a constant of the module leads to, so it does not
        miss the layers of the others.
        """
        taken = sorted({part.taken for part in parts})
        flags = [self._flag(tests, outcome) for outcome in taken[:-1]]
        firsts = {
            outcome: next(
                lane for lane, part in zip(lanes, parts, strict=True) if part.taken == outcome
            )
            for outcome in taken
        }
        turns: list[tuple[Way, ...]] = []
        for lane, part in zip(lanes, parts, strict=True):
            gone = []
            for outcome, first in firsts.items():
                if outcome == part.taken:
                    gone.append(ways[id(lane)])
                    continue
                guest = Guest(first, lane)
                steps, merges = guest.steps(ways[id(first)], self.merges[id(first)])
                self.merges[id(lane)] |= merges
                gone.append(steps)
            turns.append((Turn(tuple(flags), tuple(gone), part.body.output),))
        return turns

    def _flag(self, tests: Sequence[Form], outcome: int) -> str:
        """An attribute that holds whether a condition of the spec is true.

        That of an `else if` may be of no sense where one before it holds.
        """
        test = tests[outcome]
        is_safe = outcome == 0 or isinstance(test, Parameter)
        text = self.text(test if is_safe else way_to([*tests], outcome))
        if text in self.flag_of:
            return self.flag_of[text]
        name = self.attributes.give_numbered(text if text.isidentifier() else "condition")
        if self.indent == _BODY:
            self.flag_of[text] = name
        if name in self.unasked:
            return name
        self.constants.append(name)
        if self.indent > _BODY:
            # Where an `if` around leads elsewhere, it is there as well.
            self.flags += lay_out(f"self.{name} = ", Verbatim("False"), _BODY)
        self.body += lay_out(f"self.{name} = ", Verbatim(text), self.indent)
        return name

    def _asked(self, condition: Form) -> str:
        """A condition as ``__init__`` asks it: by its attribute where that is shorter."""
        text = self.text(condition)
        name = self.flag_of.get(text)
        return f"self.{name}" if name in self.constants and not text.isidentifier() else text

    def _conditional_lines(
        self, tests: list[Form], taken: list[int], found: dict[int, list[str]]
    ) -> Iterator[str]:
        """``if`` … ``elif`` … ``else``, without what is empty at the end."""
        *first, last = taken
        if len(first) == 1 and not found[first[0]]:
            asked = self._asked(tests[first[0]])
            if not asked.startswith("self."):
                asked = self.text(negated(tests[first[0]]))
            else:
                asked = f"not {asked}"
            yield from lay_out(f"if {asked}:", Verbatim(""), self.indent)
            yield from found[last]
            return
        word = "if"
        pending: list[str] = []
        for outcome in first:
            head = lay_out(f"{word} {self._asked(tests[outcome])}:", Verbatim(""), self.indent)
            body = found[outcome] or lay_out("pass", Verbatim(""), self.indent + 1)
            pending += [*head, *body]
            word = "elif"
            if found[outcome]:
                yield from pending
                pending = []
        if found[last]:
            yield from pending
            yield from lay_out("else:", Verbatim(""), self.indent)
            yield from found[last]

    def _copies(self, lanes: Sequence[Lane], copies: Sequence[CopiesStep]) -> list[tuple[Way, ...]]:
        """Copies that are attributes each: as many as there are in the uses, and no others."""
        number = agreed(len(one.copies) for one in copies)
        count = agreed(
            lane.resolve(one.part.count) for lane, one in zip(lanes, copies, strict=True)
        )
        if not isinstance(count, Constant):
            self._refuse(Operation("!=", (count, Constant.of(number))))
        gone: list[tuple[Way, ...]] = [() for _ in lanes]
        for rows in zip(*(one.copies for one in copies), strict=True):
            more = self.steps(lanes, rows)
            gone = [done + new for done, new in zip(gone, more, strict=True)]
        for lane, one in zip(lanes, copies, strict=True):
            lane.current = one.part.output
        return gone

    # ── Comments ─────────────────────────────────────────────────────────────────────────────

    def _agreed_comment(self, comments: Iterator[str]) -> str:
        found = set(comments)
        return found.pop() if len(found) == 1 else ""

    def _comment(self, lane: Lane, item: PlanItem) -> str:
        """The volume after an item of a row, where the item has a hand in it."""
        match item:
            case LayerItem(node=id):
                node = lane.use.node(id)
                before = lane.use.node(node.inputs[0]).volume
                is_news = node.volume != before or node.layer.has_weights
                return self._volume_comment(lane, id) if is_news else ""
            case InstanceItem(plan=plan):
                return self._volume_comment(lane, plan.output)
            case _:
                return ""

    def _volume_comment(self, lane: Lane, node: int) -> str:
        volume = lane.use.node(node).volume
        # A vector's length stands in the call itself.
        if not self.has_volumes or volume.is_vector:
            return ""
        return "×".join(map(str, volume.torch_sizes))


def _all_of(items: Sequence[Any], kind: type[Any]) -> list[Any]:
    """The same items, all of one kind. Errors: ``DisagreementError``."""
    if not all(isinstance(item, kind) for item in items):
        raise DisagreementError
    return list(items)


def _said(things: Sequence[Any]) -> tuple[str, ...]:
    """What the spec says of a statement, where it is the same for all uses."""
    comments = {getattr(thing, "comment", None) for thing in things}
    comment = comments.pop() if len(comments) == 1 else None
    if comment is None:
        return ()
    plain = map(blank_unprintable, said_in((*comment.above, *comment.behind)))
    return tuple(line for line in plain if line.strip())


def _of_outcome(
    lanes: Sequence[Lane], ifs: Sequence[Any], outcome: int
) -> tuple[list[Lane], list[Any]]:
    """The lanes that an ``if`` led to one of its bodies, and what stands there."""
    pairs = [(lane, i) for lane, i in zip(lanes, ifs, strict=True) if i.part.taken == outcome]
    return [lane for lane, _ in pairs], [i for _, i in pairs]


def _forms(lanes: Sequence[Lane], nodes: Sequence[int]) -> list[list[Form]]:
    """By lane, the forms of the sizes behind a node."""
    return [
        [form_of(size) for size in lane.volume_of(node).sizes]
        for lane, node in zip(lanes, nodes, strict=True)
    ]


def _only_attribute(options: Sequence[OptionStep]) -> str:
    """The one name of what an ``if`` can put in its place; nothing where it does more than that."""
    names = set()
    for option in options:
        applies = [*applies_of(option.steps)]
        if not _is_one_module(option.steps) or any(a.references or a.flatten for a in applies):
            return ""
        names |= {apply.attribute for apply in applies}
        names |= {option.attribute} if option.attribute else set()
    return names.pop() if len(names) == 1 else ""


def _is_one_module(steps: tuple[PlanStep, ...]) -> bool:
    match steps:
        case ():
            return True
        case (ApplyStep(each=False, pieces=()),):
            return True
        case (OptionStep(steps=inner),):
            return _is_one_module(inner)
        case _:
            return False


def _is_news(lane: Lane, apply: ApplyStep) -> bool:
    """Whether a volume is worth a comment: a layer that leaves it as it was has none."""
    if not isinstance(apply.item, LayerItem):
        return True
    node = lane.use.node(apply.item.node)
    return node.volume != lane.use.node(node.inputs[0]).volume or node.layer.has_weights


def _with_one_comment(doc: Doc, comment: str) -> tuple[Doc, str]:
    """Volumes behind the items of a long row; behind one that fits on a line, the last alone."""
    if not isinstance(doc, BracketedDoc) or not any(item.comment for item in doc.items):
        return doc, comment
    if any(item.above for item in doc.items):
        return doc, ""
    quiet = BracketedDoc(doc.opening, tuple(replace(item, comment="") for item in doc.items))
    if fits_inside(quiet, 3):
        return quiet, comment
    return doc, ""
