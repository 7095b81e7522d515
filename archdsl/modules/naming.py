"""Names: of attributes and classes in the generated code, and of nodes in reports."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Nodes
from dataclasses import replace

from archdsl.graph import Node, RecallPart
from archdsl.modules.plan import (
    Apply,
    ClassPlan,
    Fork,
    Head,
    Instance,
    Item,
    Leaf,
    Recall,
    Sequence,
    Step,
)

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


def attribute_name(name: str) -> str:
    """A name as an attribute of a module: Python's and PyTorch's own words get a ``_``."""
    # What already ends in `_` gets one more, so that two names never become one.
    bare = name.rstrip("_")
    is_taken = keyword.iskeyword(bare) or bare in RESERVED_ATTRIBUTES or name in RESERVED_ATTRIBUTES
    return f"{name}_" if is_taken else name


def camel_case(name: str) -> str:
    """A name as a class name: ``squeeze_excite`` → ``SqueezeExcite``, ``VGG16`` as it is."""
    return "".join(word[0].upper() + word[1:] for word in name.split("_") if word)


class Names:
    """Gives the unnamed rows, branches and heads of one class their attributes."""

    def __init__(self, nodes: Nodes[Node]) -> None:
        self.nodes = nodes
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


def name_nodes(plan: ClassPlan, nodes: Nodes[Node]) -> dict[int, str]:
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
