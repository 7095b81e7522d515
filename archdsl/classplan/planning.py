"""From the tree of parts to the plan of classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from archdsl.classplan.naming import Names, attribute_name
from archdsl.classplan.plan import (
    AlikeItems,
    ApplyStep,
    ChoiceItem,
    ClassPlan,
    CopiesStep,
    FlattenItem,
    ForkStep,
    HeadStep,
    InstanceItem,
    KeyedItem,
    LayerItem,
    OptionStep,
    PlanItem,
    PlanStep,
    ReferenceStep,
    RepeatItem,
    ReuseStep,
    SequentialItem,
    in_row,
)
from archdsl.layers import UnaryLayer
from archdsl.network.graph import Node, Output, inputs_of, label_of
from archdsl.network.parts import (
    AuxPart,
    CallPart,
    Chain,
    ChoicePart,
    ForkPart,
    GroupPart,
    LayerPart,
    ReferencePart,
    RepeatPart,
    ReusePart,
    SplitPart,
    Written,
    output_of,
)
from archdsl.network.renumbering import LazyCopies, distinct_copies
from archdsl.network.symbols import Constant
from archdsl.text.source import Span

#: The title of the class that auxiliary heads share.
HEAD_CLASS = "aux_head"
#: A row of heads that is at least this long gets a class of its own.
_LONG_ROW = 4


def plan_modules(
    name: str,
    nodes: Sequence[Node],
    chain: Chain,
    outputs: tuple[Output, ...] = (),
    *,
    for_names: bool = False,
) -> ClassPlan:
    """Plan the class of a network.

    Names need no more of copies that differ in numbers alone than one of them: the plan for names
    has ``AlikeItems`` in place of the others.
    """
    planner = _Planner(nodes, for_names)
    inputs = tuple((node.id, label) for node in inputs_of(nodes) if (label := label_of(node)))
    if inputs or outputs:
        # Names are what `forward` takes and gives, so there has to be one.
        steps = Names(nodes).name(planner.steps(chain.written))
        return ClassPlan(
            name, None, None, chain.input, chain.output, steps, None, (), inputs, outputs
        )
    plan = planner.class_plan(name, chain, None, None)
    return replace(plan, steps=_with_head_class(plan.steps, nodes))


def _with_head_class(steps: tuple[PlanStep, ...], nodes: Sequence[Node]) -> tuple[PlanStep, ...]:
    """Auxiliary heads that are the same long row of layers, as they mostly are, share a class."""
    kinds = [_kinds(step.apply, nodes) for step in steps if isinstance(step, HeadStep)]
    if len(kinds) < 2 or len(set(kinds)) > 1 or len(kinds[0]) < _LONG_ROW:
        return steps
    return tuple(_of_head_class(s, nodes) if isinstance(s, HeadStep) else s for s in steps)


def _kinds(head: ApplyStep, nodes: Sequence[Node]) -> tuple[str, ...]:
    """The layers of a head that is a plain row, none for any other head."""
    match head.item:
        case SequentialItem(items=row) if all(isinstance(i, (LayerItem, FlattenItem)) for i in row):
            return tuple(
                nodes[item.node].layer.name if isinstance(item, LayerItem) else "flatten"
                for item in row
            )
        case _:
            return ()


def _of_head_class(head: HeadStep, nodes: Sequence[Node]) -> HeadStep:
    assert isinstance(head.apply.item, SequentialItem)
    row = head.apply.item.items
    first = next(item for item in row if isinstance(item, LayerItem))
    start = nodes[first.node].inputs[0]
    plan = ClassPlan(HEAD_CLASS, None, None, start, head.apply.output, (), row, ())
    return replace(head, apply=replace(head.apply, item=InstanceItem(plan)))


class _Planner:
    def __init__(self, nodes: Sequence[Node], for_names: bool) -> None:
        self.nodes = nodes
        self.for_names = for_names

    def class_plan(
        self, title: str, chain: Chain, origin: Span | None, call: CallPart | None
    ) -> ClassPlan:
        row = self._row(chain.written) or self._keyed_row(chain.written)
        if row is not None:
            return ClassPlan(title, origin, call, chain.input, chain.output, (), row, ())
        steps = Names(self.nodes).name(self.steps(chain.written))
        # A block refers to nothing outside: the result of a part without layers is what flows in.
        references = tuple(_references_from_outside(steps, {chain.input} if call else set()))
        return ClassPlan(title, origin, call, chain.input, chain.output, steps, None, references)

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────

    def _row(self, parts: tuple[Written, ...]) -> tuple[PlanItem, ...] | None:
        """The items of a ``nn.Sequential``, where the parts are unnamed and in a straight line."""
        if not all(map(_is_in_row, parts)):
            return None
        return tuple(item for part in parts for item in self._row_items(part))

    def _row_items(self, part: Written) -> list[PlanItem]:
        match part:
            case ChoicePart(body=body):
                return [ChoiceItem(part, self._row(body.written) or ())]
            case RepeatPart():
                return self._copies(part, lambda copy: self._row(copy.written) or ())
            case _:
                item = self._item(part)
                return [FlattenItem(), item] if self._needs_flat(item) else [item]

    def _copies(
        self, part: RepeatPart, row_of: Callable[[Chain], tuple[PlanItem, ...]]
    ) -> list[PlanItem]:
        """Copies as items of a row, as one item where their number is not a constant."""
        copies = part.copies
        if self.for_names and isinstance(copies, LazyCopies):
            rows = [row_of(copy) for copy in copies.distinct]
            rows.append((AlikeItems(rows[-1], len(copies) - len(rows), copies.step),))
        else:
            rows = [row_of(copy) for copy in copies]
        if isinstance(part.count.form, Constant):
            return [item for row in rows for item in row]
        if rows and rows[0] and isinstance(rows[0][0], FlattenItem):
            # What flattens the first copy's input comes before all of them.
            return [FlattenItem(), RepeatItem(part, (rows[0][1:], *rows[1:]))]
        return [RepeatItem(part, tuple(rows))]

    # ── Rows of named parts ──────────────────────────────────────────────────────────────────

    def _keyed_row(self, parts: tuple[Written, ...]) -> tuple[PlanItem, ...] | None:
        """The items of a ``nn.Sequential`` with names for keys.

        Named parts in a straight line are attributes, except where some names cannot be, or where
        an argument decides how many there are.
        """
        if not _wants_keys(parts):
            return None
        items: list[PlanItem] = []
        for part in parts:
            more = self._keyed(part)
            if more is None:
                return None
            items += more
        return tuple(items)

    def _keyed(self, part: Written) -> list[PlanItem] | None:
        match part:
            case RepeatPart(name=None, copies=copies):
                distinct = distinct_copies(copies)
                if any(self._keyed(i) is None for copy in distinct for i in copy.written):
                    return None
                return self._copies(part, self._keyed_copy)
            case (
                LayerPart(name=str(name))
                | CallPart(name=str(name))
                | GroupPart(name=name)
                | RepeatPart(name=str(name))
            ):
                pass
            case _:
                return None
        item = self._item(part)
        if self._needs_flat(item) or any(True for _ in _references_of(item)):
            return None
        return [KeyedItem(attribute_name(name), item)]

    def _keyed_copy(self, copy: Chain) -> tuple[PlanItem, ...]:
        return tuple(item for part in copy.written for item in self._keyed(part) or ())

    def _needs_flat(self, item: PlanItem) -> bool:
        if not isinstance(item, LayerItem):
            return False
        node = self.nodes[item.node]
        layer = node.layer
        is_image = not self.nodes[node.inputs[0]].volume.is_vector
        return isinstance(layer, UnaryLayer) and layer.flattens and is_image

    def _item(self, part: Written) -> PlanItem:
        match part:
            case LayerPart(node=node, comment=comment):
                return LayerItem(node, comment)
            case SplitPart(node=node):
                return LayerItem(node)
            case CallPart(block=block, body=body, comment=comment):
                plan = self.class_plan(block.name, body, block.span, part)
                return InstanceItem(plan, comment)
            case GroupPart():
                return self._group(part.name, part.body, part.span)
            case RepeatPart(name=str(name)):
                items = self._copies(part, lambda copy: (self._copy(name, copy, part.span),))
                return SequentialItem(tuple(items))
            case AuxPart():
                return self._copy(part.name or "head", part.body, part.span)
            case _:
                raise AssertionError(part)

    def _group(self, title: str, body: Chain, span: Span) -> PlanItem:
        row = self._row(body.written) or self._keyed_row(body.written)
        if row is not None:
            return SequentialItem(row)
        return InstanceItem(self.class_plan(title, body, span, None))

    def _copy(self, title: str, copy: Chain, span: Span) -> PlanItem:
        """A chain whose braces mean nothing by themselves: one layer or block is not wrapped."""
        row = self._row(copy.written)
        if row is not None and len(row) == 1 and not isinstance(row[0], (ChoiceItem, RepeatItem)):
            return row[0]
        return self._group(title, copy, span)

    # ── Steps ────────────────────────────────────────────────────────────────────────────────

    def steps(self, parts: Iterable[Written]) -> list[PlanStep]:
        """Steps with the attribute of unnamed rows still empty."""
        steps: list[PlanStep] = []
        run: list[Written] = []

        def flush() -> None:
            if run:
                steps.append(self._run(tuple(run)))
                run.clear()

        for part in parts:
            if _is_in_row(part):
                run.append(part)
                continue
            flush()
            match part:
                case ForkPart():
                    branches = tuple(tuple(self.steps(b.written)) for b in part.branches)
                    steps.append(ForkStep(part.node, branches, part.comment))
                case ReferencePart():
                    steps.append(ReferenceStep(part))
                case ReusePart(name=name, body=Chain(written=(again,))):
                    steps.append(ReuseStep(replace(self._apply(again), label=name)))
                case AuxPart():
                    steps.append(HeadStep(self._apply(part), part.weight))
                case ChoicePart(body=body):
                    steps.append(OptionStep(part, tuple(self.steps(body.written))))
                case RepeatPart(name=None, copies=copies):
                    rows = tuple(tuple(self.steps(copy.written)) for copy in copies)
                    steps.append(CopiesStep(part, rows))
                case _:
                    steps.append(self._apply(part))
        flush()
        return steps

    def _run(self, parts: tuple[Written, ...]) -> PlanStep:
        if len(parts) == 1 and isinstance(parts[0], ChoicePart):
            return OptionStep(parts[0], tuple(self.steps(parts[0].body.written)))
        items = self._row(parts)
        assert items is not None
        item, flatten = self._lift(SequentialItem(items))
        if isinstance(item, SequentialItem) and len(item.items) == 1:
            only = item.items[0]
            item = item if isinstance(only, (ChoiceItem, RepeatItem)) else only
        return ApplyStep("", item, output_of(parts[-1]), flatten)

    def _apply(self, part: Written) -> ApplyStep:
        item = self._item(part)
        references = tuple(_references_of(item))
        each = isinstance(part, RepeatPart) and bool(references)
        flatten = False
        if not each:
            item, flatten = self._lift(item)
        name = part.name
        attribute = attribute_name(name) if name else ""
        pieces = part.pieces if isinstance(part, SplitPart) else ()
        comment = part.comment if isinstance(part, (GroupPart, RepeatPart, AuxPart)) else None
        output = output_of(part)
        return ApplyStep(attribute, item, output, flatten, references, each, name, pieces, comment)

    def _lift(self, item: PlanItem) -> tuple[PlanItem, bool]:
        """Take a flattening at the very start out of the row, into ``forward``."""
        if isinstance(item, LayerItem):
            return item, self._needs_flat(item)
        if (
            isinstance(item, SequentialItem)
            and item.items
            and isinstance(item.items[0], FlattenItem)
        ):
            rest = item.items[1:]
            # A row written in braces stays a row, however short.
            return SequentialItem(rest), True
        return item, False


def _is_in_row(part: Written) -> bool:
    """Whether a part is items of a row: unnamed, with one input, and read only by what follows."""
    match part:
        case LayerPart(name=None):
            return True
        case CallPart(name=None, reads=reads):
            return not reads
        case ChoicePart(word=word, body=body):
            # Whichever body is taken, so that the parts beside it have the same names.
            return all(map(_is_in_row, body.written)) and word is not None
        case RepeatPart(name=None, copies=copies):
            distinct = distinct_copies(copies)
            return all(_is_in_row(inner) for copy in distinct for inner in copy.written)
        case _:
            return False


def _wants_keys(parts: tuple[Written, ...]) -> bool:
    """Whether some names cannot be attributes, or a loop gives them."""
    for part in parts:
        match part:
            case RepeatPart(name=None, copies=copies, count=count):
                distinct = distinct_copies(copies)
                inside = any(inner.name for copy in distinct for inner in copy.written)
                if inside and not isinstance(count.form, Constant):
                    return True
                if any(_wants_keys(copy.written) for copy in distinct):
                    return True
            case _:
                if part.name and not part.name.isidentifier():
                    return True
    return False


def _references_of(item: PlanItem) -> Iterator[ReferencePart]:
    """The outer parts an item reads besides its input, each once."""
    match item:
        case InstanceItem(plan=plan):
            yield from plan.references
        case SequentialItem(items=items):
            seen = set()
            for inner in in_row(items):
                for reference in _references_of(inner):
                    if reference.node not in seen:
                        seen.add(reference.node)
                        yield reference


def _references_from_outside(steps: Iterable[PlanStep], made: set[int]) -> Iterator[ReferencePart]:
    """The references to what is neither in ``made`` nor made by earlier steps, each once.

    The order matters: a call that is empty for its arguments gives the node that it was given.
    """
    for what in _made_and_referenced(steps):
        if isinstance(what, int):
            made.add(what)
        elif what.node not in made:
            made.add(what.node)
            yield what


def _made_and_referenced(steps: Iterable[PlanStep]) -> Iterator[int | ReferencePart]:
    """The nodes that steps make and the parts that they refer to, in the order of execution."""
    for step in steps:
        match step:
            case ApplyStep(item=SequentialItem(items=items), label=None) if not list(in_row(items)):
                pass  # what flows in flows on: nothing is made here
            case ApplyStep():
                yield from step.references
                yield from (step.output, *step.pieces)
            case HeadStep():
                yield from step.apply.references
            case ReuseStep():
                yield from step.apply.references
                yield step.apply.output
            case ReferenceStep():
                yield step.part
            case ForkStep():
                for branch in step.branches:
                    yield from _made_and_referenced(branch)
                yield step.node
            case OptionStep():
                yield from _made_and_referenced(step.steps)
            case CopiesStep():
                for copy in step.copies:
                    yield from _made_and_referenced(copy)
