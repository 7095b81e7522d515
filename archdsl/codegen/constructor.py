"""The ``__init__`` of a class: its attributes in execution order, from all its instantiations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from archdsl.classplan import (
    RESERVED_ATTRIBUTES,
    ApplyStep,
    ClassPlan,
    CopiesStep,
    ForkStep,
    HeadStep,
    LayerItem,
    OptionStep,
    PlanStep,
    ReferenceStep,
    ReuseStep,
    SequentialItem,
    applies_of,
)
from archdsl.codegen.conditions import way_to
from archdsl.codegen.expressions import negated
from archdsl.codegen.lanes import DisagreementError, Lane, agreed
from archdsl.codegen.layout import (
    BracketedDoc,
    Doc,
    DocItem,
    Verbatim,
    bracketed,
    comment_lines,
    fits_inside,
    lay_out,
    without_comments,
)
from archdsl.codegen.names import PythonScope
from archdsl.codegen.rows import RowConstructor, all_of, forms_behind, said_of
from archdsl.codegen.signature import WrittenClass
from archdsl.codegen.tracing import form_of
from archdsl.codegen.turns import Guest, Turn, Way
from archdsl.layers import MergeLayer
from archdsl.layers.volume import Volume
from archdsl.network.parts import ChoicePart
from archdsl.network.symbols import Constant, Form, Operation, Parameter

_BODY = 2  # levels of indentation of a method's body


class Constructor(RowConstructor):
    """Writes the modules of one class as attributes, for all its lanes at once."""

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
        super().__init__(lanes, find, title, has_volumes=has_volumes, taken=taken)
        self.is_network = False
        self.indent = _BODY
        self.body: list[str] = []
        #: The names that attributes of `self` have; conditions get free ones.
        applies = [apply for lane in lanes for apply in applies_of(lane.use.plan.steps)]
        self.attributes = PythonScope((*RESERVED_ATTRIBUTES, *(a.attribute for a in applies)))
        #: The attributes written so far, and those that are `nn.Identity()` where an `if` leads
        #: past them.
        self.written: set[str] = set()
        self.defaults: set[str] = set()
        self.constants: list[str] = []
        #: The attributes that ``forward`` turned out not to ask for.
        self.unasked = unasked
        self.flags: list[str] = []
        #: By the text of a condition, the attribute that holds it for the whole class.
        self.flag_of: dict[str, str] = {}
        #: By attribute and lane, the module as an expression and the volume that it takes.
        self.made: dict[tuple[str, int], tuple[Doc, Volume]] = {}
        #: By lane, the layers that join branches, by node.
        self.merges: dict[int, dict[int, MergeLayer]] = {id(lane): {} for lane in lanes}

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
                applies = all_of(steps, ApplyStep)
                self._attribute(lanes, applies)
                for lane, apply in zip(lanes, applies, strict=True):
                    lane.trail += (apply.output, *apply.pieces)
                    if apply.pieces:
                        lane.split(lane.use.node(apply.output), apply.pieces)
                    else:
                        lane.current = apply.output
            case HeadStep():
                heads = all_of(steps, HeadStep)
                agreed(head.weight for head in heads)
                before = [lane.current for lane in lanes]
                self._attribute(lanes, [head.apply for head in heads])
                for lane, node in zip(lanes, before, strict=True):
                    lane.current = node
            case ReuseStep():
                applies = [reuse.apply for reuse in all_of(steps, ReuseStep)]
                self._again(lanes, applies)
                for lane, apply in zip(lanes, applies, strict=True):
                    lane.trail.append(apply.output)
                    lane.current = apply.output
            case ReferenceStep():
                references = all_of(steps, ReferenceStep)
                agreed(reference.part.target for reference in references)
                for lane, reference in zip(lanes, references, strict=True):
                    lane.current = reference.part.node
            case ForkStep():
                return [(fork,) for fork in self._fork(lanes, all_of(steps, ForkStep))]
            case OptionStep():
                return self._option(lanes, all_of(steps, OptionStep))
            case CopiesStep():
                return self._copies(lanes, all_of(steps, CopiesStep))
        return [(step,) for step in steps]

    def _attribute(self, lanes: Sequence[Lane], applies: Sequence[ApplyStep]) -> None:
        attribute = agreed(apply.attribute for apply in applies)
        if attribute in self.defaults:
            raise DisagreementError  # it would replace another one of the same name
        self.written.add(attribute)
        entries = [lane.volume_of(lane.current) for lane in lanes]
        doc = self._module(lanes, applies)
        for lane, entry in zip(lanes, entries, strict=True):
            self.made[attribute, id(lane)] = without_comments(doc), entry
        items = [apply.item for apply in applies]
        comment = self.agreed_comment(
            self.volume_comment(lane, apply.output) if _is_news(lane, apply) else ""
            for lane, apply in zip(lanes, applies, strict=True)
        )
        said = (*said_of(applies), *said_of(items))
        if isinstance(doc, BracketedDoc) and doc.items and doc.items[0].above:
            # The comment on the first item of a row goes above the row.
            first, *rest = doc.items
            said = (*said, *first.above)
            doc = replace(doc, items=(replace(first, above=()), *rest))
        doc, comment = _with_one_comment(doc, comment)
        self.body += comment_lines(said, self.indent)
        self.body += lay_out(f"self.{attribute} = ", doc, self.indent, comment=comment)

    def _module(self, lanes: Sequence[Lane], applies: Sequence[ApplyStep]) -> Doc:
        """What an attribute is, as an expression."""
        agreed((a.flatten, a.each, len(a.pieces)) for a in applies)
        agreed(tuple(reference.target for reference in apply.references) for apply in applies)
        items = [apply.item for apply in applies]
        if not applies[0].each:
            return self.item(lanes, items)
        rows = [row.items for row in all_of(items, SequentialItem)]
        listed = DocItem(bracketed("[", self.row(lanes, rows), "]"))
        return bracketed("nn.ModuleList(", [listed])

    def _again(self, lanes: Sequence[Lane], applies: Sequence[ApplyStep]) -> None:
        """Follow an attribute that runs once more; nothing is constructed.

        The spec says that it fits, with the numbers of each instantiation. Where it would not with
        other arguments, these are refused.
        """
        attribute = agreed(apply.attribute for apply in applies)
        entries = [lane.volume_of(lane.current) for lane in lanes]
        used = {*self.used}
        doc = without_comments(self._module(lanes, applies))
        self.used = used
        for lane, entry in zip(lanes, entries, strict=True):
            if (attribute, id(lane)) not in self.made:
                raise DisagreementError
            made, first = self.made[attribute, id(lane)]
            if made == doc:
                continue
            pairs = zip(lane.shown(first).sizes, lane.shown(entry).sizes, strict=False)
            for one, other in pairs:
                if one == other and form_of(one) != form_of(other):
                    self.refuse(Operation("!=", (form_of(one), form_of(other))))

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
            self.body[start_of_code:start_of_code] = comment_lines(said_of(forks), self.indent)
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
        tests = self.tests_of(lanes, parts)
        taken = sorted({part.taken for part in parts})
        self.guard(tests, parts[0], taken)
        said = comment_lines(said_of(parts), self.indent)
        start = len(self.body)
        if len(taken) == 1:
            gone = self.steps(lanes, [option.steps for option in options])
            for lane, part in zip(lanes, parts, strict=True):
                lane.current = part.body.output
            if self.body[start:]:
                self.body[start:start] = said
            return gone
        before = forms_behind(lanes, [part.body.input for part in parts])
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
        self.join_sizes(lanes, parts, tests, before)
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

        TorchScript compiles only the way that a constant of the module leads to, so it does not
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

        The condition of an `else if` may make no sense where an earlier one holds.
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
            # The attribute exists, too, where an `if` around this one leads elsewhere.
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
        """Copies that are an attribute each: as many as in the instantiations, and no others."""
        number = agreed(len(one.copies) for one in copies)
        count = agreed(
            lane.resolve(one.part.count) for lane, one in zip(lanes, copies, strict=True)
        )
        if not isinstance(count, Constant):
            self.refuse(Operation("!=", (count, Constant.of(number))))
        gone: list[tuple[Way, ...]] = [() for _ in lanes]
        for rows in zip(*(one.copies for one in copies), strict=True):
            more = self.steps(lanes, rows)
            gone = [done + new for done, new in zip(gone, more, strict=True)]
        for lane, one in zip(lanes, copies, strict=True):
            lane.current = one.part.output
        return gone


def _of_outcome(
    lanes: Sequence[Lane], ifs: Sequence[Any], outcome: int
) -> tuple[list[Lane], list[Any]]:
    """The lanes that an ``if`` led to one of its bodies, and what is there."""
    pairs = [(lane, i) for lane, i in zip(lanes, ifs, strict=True) if i.part.taken == outcome]
    return [lane for lane, _ in pairs], [i for _, i in pairs]


def _only_attribute(options: Sequence[OptionStep]) -> str:
    """The attribute that all bodies of an ``if`` give; nothing where they do more than that."""
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
    """Whether a volume is worth a comment: it has changed, or the layer has weights."""
    if not isinstance(apply.item, LayerItem):
        return True
    node = lane.use.node(apply.item.node)
    return node.volume != lane.use.node(node.inputs[0]).volume or node.layer.has_weights


def _with_one_comment(doc: Doc, comment: str) -> tuple[Doc, str]:
    """Volumes after the items of a long row; after one that fits on a line, only the last."""
    if not isinstance(doc, BracketedDoc) or not any(item.comment for item in doc.items):
        return doc, comment
    if any(item.above for item in doc.items):
        return doc, ""
    quiet = BracketedDoc(doc.opening, tuple(replace(item, comment="") for item in doc.items))
    if fits_inside(quiet, 3):
        return quiet, comment
    return doc, ""
