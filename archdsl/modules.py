"""How a network becomes modules: which parts are attributes, which are indices, which are classes.

This is where names in the generated code, and so the keys of its state dict, are decided:

- a named part is an attribute with its name;
- unnamed layers in a row are one ``nn.Sequential``, each an index; a body that is nothing but
  such a row is a ``nn.Sequential`` itself, so its indices come without an attribute before them;
- a block call is a class of its own, and so is a named group that branches inside;
- branches without names are ``branch1``, ``branch2``, …

The same plan gives the reports their layer names.
"""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Sequence_
from dataclasses import dataclass, replace
from typing import TypeAlias

from archdsl.graph import (
    AuxPart,
    CallPart,
    Chain,
    ForkPart,
    GroupPart,
    LayerPart,
    Node,
    Part,
    RecallPart,
    RepeatPart,
    SplitPart,
)
from archdsl.layers import UnaryLayer

#: What ``nn.Module`` and ``nn.Sequential`` define themselves; a test compares with torch.
_RESERVED = """
T_destination add_module append apply bfloat16 buffers call_super_init children compile cpu cuda
double dump_patches eval extend extra_repr float forward get_buffer get_extra_state
get_parameter get_submodule half insert ipu load_state_dict modules mtia named_buffers
named_children named_modules named_parameters parameters pop register_backward_hook
register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
register_full_backward_pre_hook register_load_state_dict_post_hook
register_load_state_dict_pre_hook register_module register_parameter
register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
set_submodule share_memory state_dict to to_empty train training type xpu zero_grad aux_weights
load_training_state
"""
RESERVED_ATTRIBUTES = frozenset(_RESERVED.split())

#: The title of the class that auxiliary heads share.
HEAD_CLASS = "aux_head"
#: How many layers make a row worth a class of its own where it is used twice.
_LONG_ROW = 4


# ── The plan ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Leaf:
    """A layer's own module."""

    node: int


@dataclass(frozen=True, slots=True)
class Flattening:
    """The ``nn.Flatten`` a fully-connected layer wants before it in a row."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """``nn.Sequential``, its items being indices."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class of its own."""

    plan: ClassPlan


Item: TypeAlias = Leaf | Flattening | Sequence | Instance


@dataclass(frozen=True, slots=True)
class Apply:
    """``x = self.attribute(x)``; ``flatten`` where x must become a vector first.

    With ``recalls`` the item reads earlier parts too. ``each`` marks a named repeat whose copies
    do so: a ``nn.ModuleList`` walked in a loop. With ``pieces`` it gives several results, and x
    stays what it was.
    """

    attribute: str
    item: Item
    output: int
    flatten: bool = False
    recalls: tuple[RecallPart, ...] = ()
    each: bool = False
    label: str | None = None
    pieces: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Fork:
    """Branches over one input, joined by the merge ``node``."""

    node: int
    branches: tuple[tuple[Step, ...], ...]
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """An earlier part's result becomes the current one."""

    part: RecallPart


@dataclass(frozen=True, slots=True)
class Head:
    """An auxiliary head: applied in training only, its result set aside."""

    apply: Apply
    weight: float


Step: TypeAlias = Apply | Fork | Recall | Head


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """A class to be: its title, the block it comes from, and its steps.

    Where ``row`` is set the class is a ``nn.Sequential`` of these items and has no steps.
    """

    title: str
    call: CallPart | None
    input: int
    output: int
    steps: tuple[Step, ...]
    row: tuple[Item, ...] | None
    recalls: tuple[RecallPart, ...]


def attribute_name(name: str) -> str:
    """A name as an attribute of a module: Python's and PyTorch's own words get a ``_``."""
    # What already ends in `_` gets one more, so that two names never become one.
    bare = name.rstrip("_")
    is_taken = keyword.iskeyword(bare) or bare in RESERVED_ATTRIBUTES or name in RESERVED_ATTRIBUTES
    return f"{name}_" if is_taken else name


def camel_case(name: str) -> str:
    """A name as a class name: ``squeeze_excite`` → ``SqueezeExcite``, ``VGG16`` as it is."""
    return "".join(word[0].upper() + word[1:] for word in name.split("_") if word)


def plan_modules(name: str, nodes: Sequence_[Node], chain: Chain) -> ClassPlan:
    """Plan the class of a network."""
    plan = _Planner(nodes).class_plan(name, chain, None)
    return replace(plan, steps=_with_head_class(plan.steps, nodes))


def _with_head_class(steps: tuple[Step, ...], nodes: Sequence_[Node]) -> tuple[Step, ...]:
    """Auxiliary heads that are the same long row of layers, as they mostly are, share a class."""
    kinds = [_kinds(step.apply, nodes) for step in steps if isinstance(step, Head)]
    if len(kinds) < 2 or len(set(kinds)) > 1 or len(kinds[0]) < _LONG_ROW:
        return steps
    return tuple(_of_head_class(s, nodes) if isinstance(s, Head) else s for s in steps)


def _kinds(head: Apply, nodes: Sequence_[Node]) -> tuple[str, ...]:
    """The layers of a head that is a plain row, nothing for another one."""
    match head.item:
        case Sequence(items=row) if all(isinstance(i, (Leaf, Flattening)) for i in row):
            return tuple(
                nodes[item.node].layer.name if isinstance(item, Leaf) else "flatten" for item in row
            )
        case _:
            return ()


def _of_head_class(head: Head, nodes: Sequence_[Node]) -> Head:
    assert isinstance(head.apply.item, Sequence)
    row = head.apply.item.items
    first = next(item for item in row if isinstance(item, Leaf))
    plan = ClassPlan(HEAD_CLASS, None, nodes[first.node].inputs[0], head.apply.output, (), row, ())
    return replace(head, apply=replace(head.apply, item=Instance(plan)))


class _Planner:
    def __init__(self, nodes: Sequence_[Node]) -> None:
        self.nodes = nodes

    def class_plan(self, title: str, chain: Chain, call: CallPart | None) -> ClassPlan:
        row = self._row(chain.parts)
        if row is not None:
            return ClassPlan(title, call, chain.input, chain.output, (), row, ())
        steps = _Names(self).name(self._steps(chain.parts))
        recalls = tuple(_recalls_from_outside(steps))
        return ClassPlan(title, call, chain.input, chain.output, steps, None, recalls)

    # ── Rows ─────────────────────────────────────────────────────────────────────────────────

    def _row(self, parts: tuple[Part, ...]) -> tuple[Item, ...] | None:
        """The items of a ``nn.Sequential``, where the parts are unnamed and in a straight line."""
        if not all(isinstance(p, (LayerPart, CallPart)) and p.name is None for p in parts):
            return None
        items: list[Item] = []
        for part in parts:
            item = self._item(part)
            if self._needs_flat(item):
                items.append(Flattening())
            items.append(item)
        return tuple(items)

    def _needs_flat(self, item: Item) -> bool:
        if not isinstance(item, Leaf):
            return False
        node = self.nodes[item.node]
        layer = node.layer
        is_image = not self.nodes[node.inputs[0]].volume.is_vector
        return isinstance(layer, UnaryLayer) and layer.flattens and is_image

    def _item(self, part: Part) -> Item:
        match part:
            case LayerPart() | SplitPart():
                return Leaf(part.node)
            case CallPart():
                return Instance(self.class_plan(part.block.name.id, part.body, part))
            case GroupPart():
                return self._group(part.name, part.body)
            case RepeatPart():
                return Sequence(tuple(self._copy(part.name, copy) for copy in part.copies))
            case AuxPart():
                return self._copy(part.name or "head", part.body)
            case _:
                raise AssertionError(part)

    def _group(self, title: str, body: Chain) -> Item:
        row = self._row(body.parts)
        return Sequence(row) if row is not None else Instance(self.class_plan(title, body, None))

    def _copy(self, title: str, copy: Chain) -> Item:
        """A chain whose braces mean nothing by themselves: one layer or block stands alone."""
        row = self._row(copy.parts)
        if row is not None and len(row) == 1:
            return row[0]
        return self._group(title, copy)

    # ── Steps ────────────────────────────────────────────────────────────────────────────────

    def _steps(self, parts: tuple[Part, ...]) -> list[Step]:
        """Steps with the attribute of unnamed rows still empty."""
        steps: list[Step] = []
        run: list[Part] = []

        def flush() -> None:
            if run:
                steps.append(self._run(tuple(run)))
                run.clear()

        for part in parts:
            if isinstance(part, (LayerPart, CallPart)) and part.name is None:
                run.append(part)
                continue
            flush()
            match part:
                case ForkPart():
                    branches = tuple(tuple(self._steps(b.parts)) for b in part.branches)
                    steps.append(Fork(part.node, branches))
                case RecallPart():
                    steps.append(Recall(part))
                case AuxPart():
                    steps.append(Head(self._apply(part), part.weight))
                case _:
                    steps.append(self._apply(part))
        flush()
        return steps

    def _run(self, parts: tuple[Part, ...]) -> Apply:
        items = self._row(parts)
        assert items is not None
        item, flatten = self._lift(Sequence(items))
        if isinstance(item, Sequence) and len(item.items) == 1:
            item = item.items[0]
        return Apply("", item, _output_of(parts[-1]), flatten)

    def _apply(self, part: Part) -> Apply:
        item = self._item(part)
        recalls = tuple(_recalls_of(item))
        each = isinstance(part, RepeatPart) and bool(recalls)
        flatten = False
        if not each:
            item, flatten = self._lift(item)
        name = part.name
        attribute = attribute_name(name) if name else ""
        pieces = part.pieces if isinstance(part, SplitPart) else ()
        return Apply(attribute, item, _output_of(part), flatten, recalls, each, name, pieces)

    def _lift(self, item: Item) -> tuple[Item, bool]:
        """Take a flattening at the very start out of the row, into ``forward``."""
        if isinstance(item, Leaf):
            return item, self._needs_flat(item)
        if isinstance(item, Sequence) and item.items and isinstance(item.items[0], Flattening):
            rest = item.items[1:]
            # A row written in braces stays a row, however short.
            return Sequence(rest), True
        return item, False


def _output_of(part: Part) -> int:
    match part:
        case LayerPart() | ForkPart() | RecallPart() | SplitPart():
            return part.node
        case RepeatPart():
            return part.copies[-1].output
        case CallPart() | GroupPart() | AuxPart():
            return part.body.output


def _recalls_of(item: Item) -> Iterator[RecallPart]:
    """The outer parts an item reads besides its input, each once."""
    match item:
        case Instance(plan=plan):
            yield from plan.recalls
        case Sequence(items=items):
            seen = set()
            for inner in items:
                for recall in _recalls_of(inner):
                    if recall.node not in seen:
                        seen.add(recall.node)
                        yield recall


def _recalls_from_outside(steps: tuple[Step, ...]) -> Iterator[RecallPart]:
    made = set(_outputs(steps))
    seen: set[int] = set()
    for recall in _recalls_in(steps):
        if recall.node not in made and recall.node not in seen:
            seen.add(recall.node)
            yield recall


def _outputs(steps: tuple[Step, ...]) -> Iterator[int]:
    for step in steps:
        match step:
            case Apply():
                yield step.output
                yield from step.pieces
            case Fork():
                yield step.node
                for branch in step.branches:
                    yield from _outputs(branch)


def _recalls_in(steps: tuple[Step, ...]) -> Iterator[RecallPart]:
    for step in steps:
        match step:
            case Apply():
                yield from step.recalls
            case Head():
                yield from step.apply.recalls
            case Recall():
                yield step.part
            case Fork():
                for branch in step.branches:
                    yield from _recalls_in(branch)


class _Names:
    """Gives the unnamed rows, branches and heads of one class their attributes."""

    def __init__(self, planner: _Planner) -> None:
        self.nodes = planner.nodes
        self.taken: set[str] = set()
        #: The last count given to each word, where the search for a free one goes on.
        self.counts: dict[str, int] = {}
        self.branches = 0

    def name(self, steps: list[Step]) -> tuple[Step, ...]:
        self.taken = {a for a in _attributes(steps) if a}
        # Where a word is needed more than once, the count begins with 1: relu1, relu2.
        words = Counter(self._words(steps))
        self.counts = {word: 1 for word, count in words.items() if count > 1}
        return tuple(self._step(step) for step in steps)

    def _words(self, steps: Iterable[Step]) -> Iterator[str]:
        for step in steps:
            match step:
                case Apply(attribute="", pieces=(_, *_)):
                    yield "reduce"
                case Apply(attribute="", item=item):
                    yield self._word(item)
                case Fork(branches=branches):
                    for branch in branches:
                        if _single(branch) is None:
                            yield from self._words(branch)

    def _step(self, step: Step) -> Step:
        match step:
            case Apply(attribute="", pieces=(_, *_)):
                return replace(step, attribute=self._fresh("reduce"))
            case Apply(attribute=""):
                return replace(step, attribute=self._fresh(self._word(step.item)))
            case Head(apply=Apply(attribute="")):
                return replace(step, apply=replace(step.apply, attribute=self._fresh("aux", 1)))
            case Fork():
                return replace(step, branches=tuple(self._branch(b) for b in step.branches))
            case _:
                return step

    def _branch(self, branch: tuple[Step, ...]) -> tuple[Step, ...]:
        self.branches += 1
        if (only := _single(branch)) is not None:
            return (*branch[:-1], replace(only, attribute=self._fresh(f"branch{self.branches}")))
        return tuple(self._step(step) for step in branch)

    def _word(self, item: Item) -> str:
        match item:
            case Leaf(node=node):
                return self.nodes[node].layer.name
            case Instance(plan=plan):
                return plan.title
            case _:
                return "layers"

    def _fresh(self, word: str, start: int = 0) -> str:
        count = self.counts.get(word, start)
        while (name := attribute_name(word + (str(count) if count else ""))) in self.taken:
            count = max(count + 1, 2)
        self.taken.add(name)
        self.counts[word] = count
        return name


def _single(branch: tuple[Step, ...]) -> Apply | None:
    """The one unnamed step of a branch that is named after the branch."""
    match branch:
        case (Apply(attribute="") as only,):
            return only
        case (Recall(part=RecallPart(target="")), Apply(attribute="") as only):
            return only
        case _:
            return None


def _attributes(steps: list[Step] | tuple[Step, ...]) -> Iterator[str]:
    for step in steps:
        match step:
            case Apply():
                yield step.attribute
            case Head():
                yield step.apply.attribute
            case Fork():
                for branch in step.branches:
                    yield from _attributes(branch)


# ── Names ────────────────────────────────────────────────────────────────────────────────────


def name_nodes(plan: ClassPlan, nodes: Sequence_[Node]) -> dict[int, str]:
    """The name of each node: its module's path, or for a merge a name beside its branches."""
    names: dict[int, str] = {}

    def item(value: Item, path: str) -> None:
        match value:
            case Leaf(node=node):
                names[node] = path
            case Sequence(items=items):
                row(items, path)
            case Instance(plan=inner):
                visit(inner, path)

    def row(items: tuple[Item, ...], path: str) -> None:
        for index, inner in enumerate(items):
            item(inner, f"{path}.{index}" if path else str(index))

    def visit(inner: ClassPlan, path: str) -> None:
        if inner.row is not None:
            row(inner.row, path)
            return
        prefix = f"{path}." if path else ""
        walk(inner.steps, prefix, set(_attributes(inner.steps)), {})

    def walk(steps: tuple[Step, ...], prefix: str, taken: set[str], counts: dict[str, int]) -> None:
        for step in steps:
            match step:
                case Apply():
                    item(step.item, prefix + step.attribute)
                case Head(apply=apply):
                    item(apply.item, prefix + apply.attribute)
                case Fork():
                    for branch in step.branches:
                        walk(branch, prefix, taken, counts)
                    word = nodes[step.node].layer.name
                    count = counts.get(word, 1)
                    while (name := word + (str(count) if count > 1 else "")) in taken:
                        count += 1
                    taken.add(name)
                    counts[word] = count
                    names[step.node] = prefix + name

    visit(plan, "")
    return names
