"""Names: of attributes and classes in the generated code, and of nodes in reports."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from archdsl.classplan.plan import (
    AlikeItems,
    ApplyStep,
    ClassPlan,
    CopiesStep,
    ForkStep,
    HeadStep,
    InstanceItem,
    LayerItem,
    OptionStep,
    PlanItem,
    PlanStep,
    ReferenceStep,
    ReuseStep,
    SequentialItem,
    applies_of,
    count_indices,
    keyed_in_row,
)
from archdsl.network.graph import Node
from archdsl.network.parts import ReferencePart

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
add_submodule code delete_all_unused_submodules delete_submodule graph print_readable recompile
to_folder
code_with_constants define forward_magic_method get_debug_state graph_for inlined_graph
original_name save save_to_buffer
"""
RESERVED_ATTRIBUTES = frozenset(_RESERVED.split())


def attribute_name(name: str) -> str:
    """A name as an attribute of a module: Python's and PyTorch's own words get a ``_``."""
    if not name.isidentifier():
        return name  # the key of a row
    # What already ends in `_` gets one more, so that two names never become one.
    bare = name.rstrip("_")
    is_taken = keyword.iskeyword(bare) or bare in RESERVED_ATTRIBUTES or name in RESERVED_ATTRIBUTES
    return f"{name}_" if is_taken else name


#: What a function of a module may not call an argument: what it calls itself.
_OF_FORWARD = ("self", "torch", "nn", "Tensor")


def argument_name(name: str) -> str:
    """The name of an input as an argument of ``forward``."""
    return _suffixed(name, _OF_FORWARD)


def field_name(name: str) -> str:
    """The name of an output as a field of a named tuple."""
    return _suffixed(name, ("count", "index"))


def _suffixed(name: str, taken: Collection[str]) -> str:
    bare = name.rstrip("_")
    return f"{name}_" if keyword.iskeyword(bare) or bare in taken else name


def camel_case(name: str) -> str:
    """A name as a class name: ``squeeze_excite`` → ``SqueezeExcite``, ``VGG16`` as it is.

    Keys of rows may begin with a digit or be of nothing but signs: ``0-1`` → ``Part01``.
    """
    words = name.replace("-", "_").split("_")
    joined = "".join(word[0].upper() + word[1:] for word in words if word)
    return joined if joined.isidentifier() else f"Part{joined}"


class Names:
    """Gives the unnamed rows, branches and heads of one class their attributes."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.taken: set[str] = set()
        #: The last count given to each word, where the search for a free one continues.
        self.counts: dict[str, int] = {}
        self.branches = 0

    def name(self, steps: list[PlanStep]) -> tuple[PlanStep, ...]:
        self.taken = {a for a in _attributes(steps) if a}
        return self._level(steps)

    def _level(self, steps: Iterable[PlanStep]) -> tuple[PlanStep, ...]:
        """Steps with their names; those under an ``if`` that changes the wiring come last.

        So what follows the ``if`` has the same name whichever body is taken.
        """
        steps = tuple(steps)
        # Where a word is needed more than once, the count begins with 1: relu1, relu2.
        for word, count in Counter(self._words(steps)).items():
            if count > 1:
                self.counts.setdefault(word, 1)
        return tuple(self._under(step) for step in [self._step(step) for step in steps])

    def _under(self, step: PlanStep) -> PlanStep:
        match step:
            case ForkStep(branches=branches):
                named = tuple(tuple(self._under(s) for s in branch) for branch in branches)
                return replace(step, branches=named)
            case CopiesStep(copies=copies):
                named = tuple(tuple(self._under(s) for s in copy) for copy in copies)
                return replace(step, copies=named)
            case OptionStep(part=part, steps=inner) if part.word is None:
                return replace(step, steps=self._level(inner))
            case _:
                return step

    def _words(self, steps: Iterable[PlanStep]) -> Iterator[str]:
        for step in steps:
            match step:
                case ApplyStep(attribute="", pieces=(_, *_)):
                    yield "reduce"
                case ApplyStep(attribute="", item=item):
                    yield self._word(item)
                case ForkStep(branches=branches):
                    for branch in branches:
                        if not _is_single(branch):
                            yield from self._words(branch)
                case OptionStep(part=part):
                    word = part.word
                    yield from () if word is None else (word,)
                case CopiesStep(copies=copies):
                    for copy in copies:
                        yield from self._words(copy)

    def _step(self, step: PlanStep) -> PlanStep:
        match step:
            case ApplyStep(attribute="", pieces=(_, *_)):
                return replace(step, attribute=self._fresh("reduce"))
            case ApplyStep(attribute=""):
                return replace(step, attribute=self._fresh(self._word(step.item)))
            case HeadStep(apply=ApplyStep(attribute="")):
                return replace(step, apply=replace(step.apply, attribute=self._fresh("aux", 1)))
            case ForkStep():
                return replace(step, branches=tuple(self._branch(b) for b in step.branches))
            case OptionStep(part=part):
                word = part.word
                return step if word is None else _with_attribute(step, self._fresh(word))
            case CopiesStep(copies=copies):
                named = tuple(tuple(self._step(s) for s in copy) for copy in copies)
                return replace(step, copies=named)
            case _:
                return step

    def _branch(self, branch: tuple[PlanStep, ...]) -> tuple[PlanStep, ...]:
        self.branches += 1
        if _is_single(branch):
            name = self._fresh(f"branch{self.branches}")
            return (*branch[:-1], _with_attribute(branch[-1], name))
        return tuple(self._step(step) for step in branch)

    def _word(self, item: PlanItem) -> str:
        match item:
            case LayerItem(node=node):
                return self.nodes[node].layer.name
            case InstanceItem(plan=plan):
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


def _is_single(branch: tuple[PlanStep, ...]) -> bool:
    """Whether a branch is one unnamed step, which is named after the branch."""
    match branch:
        case (ApplyStep(attribute=""),):
            return True
        case (ReferenceStep(part=ReferencePart(target="")), ApplyStep(attribute="")):
            return True
        case (OptionStep(part=part),):
            return part.word is not None
        case _:
            return False


def _with_attribute(step: PlanStep, attribute: str) -> PlanStep:
    """An unnamed step with its name. In an option it is the name of all that it can lead to."""
    match step:
        case ApplyStep():
            return replace(step, attribute=attribute)
        case OptionStep(steps=steps):
            inner = tuple(_with_attribute(s, attribute) for s in steps)
            return replace(step, steps=inner, attribute=attribute)
        case _:
            raise AssertionError(step)


def _attributes(steps: Iterable[PlanStep]) -> Iterator[str]:
    for apply in applies_of(steps):
        yield apply.attribute


def name_nodes(plan: ClassPlan, nodes: Sequence[Node]) -> dict[int, str]:
    """The name of each node: its module's path, or for a merge a name beside its branches."""
    namer = _NodeNamer(nodes)
    namer.visit(plan, "")
    return namer.names


class _NodeNamer:
    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.names: dict[int, str] = {}

    def visit(self, plan: ClassPlan, path: str) -> None:
        if plan.row is not None:
            self._row(plan.row, path)
            return
        prefix = f"{path}." if path else ""
        self._steps(plan.steps, prefix, set(_attributes(plan.steps)), {})

    def _item(self, item: PlanItem, path: str) -> None:
        match item:
            case LayerItem(node=node):
                self.names[node] = path
            case SequentialItem(items=items):
                self._row(items, path)
            case InstanceItem(plan=inner):
                self.visit(inner, path)

    def _row(self, items: tuple[PlanItem, ...], path: str) -> None:
        prefix = f"{path}." if path else ""
        for key, item in keyed_in_row(items):
            if isinstance(item, AlikeItems):
                self._alike(item, int(key), prefix)
            else:
                self._item(item, prefix + key)

    def _alike(self, alike: AlikeItems, index: int, prefix: str) -> None:
        """The nodes of copies, whose names differ from those of another in the index."""
        copy = _NodeNamer(self.nodes)
        copy._row(alike.copy, "")
        places = []
        for node, name in copy.names.items():
            key, dot, rest = name.partition(".")
            places.append((node, int(key), dot + rest))
        size = count_indices(alike.copy)
        for number in range(alike.number):
            moved, first = (number + 1) * alike.step, index + number * size
            for node, place, rest in places:
                self.names[node + moved] = f"{prefix}{first + place}{rest}"

    def _steps(
        self, steps: tuple[PlanStep, ...], prefix: str, taken: set[str], counts: dict[str, int]
    ) -> None:
        for step in steps:
            match step:
                case ApplyStep():
                    self._item(step.item, prefix + step.attribute)
                case HeadStep(apply=apply) | ReuseStep(apply=apply):
                    self._item(apply.item, prefix + apply.attribute)
                case ForkStep():
                    for branch in step.branches:
                        self._steps(branch, prefix, taken, counts)
                    word = self.nodes[step.node].layer.name
                    count = counts.get(word, 1)
                    while (name := word + (str(count) if count > 1 else "")) in taken:
                        count += 1
                    taken.add(name)
                    counts[word] = count
                    self.names[step.node] = prefix + name
                case OptionStep(steps=inner):
                    self._steps(inner, prefix, taken, counts)
                case CopiesStep(copies=copies):
                    for copy in copies:
                        self._steps(copy, prefix, taken, counts)
