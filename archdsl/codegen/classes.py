"""Which classes a module has, and what becomes an argument of their constructors.

One class serves all parts with the same title and the same structure. What differs between them
becomes a constructor argument, named as in the spec; all else is a literal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Listing
from dataclasses import dataclass, field

from archdsl.codegen.variants import Signature, choices, names_of, unite
from archdsl.deployment import PAGES
from archdsl.graph import Node
from archdsl.layers import REGISTRY, Arg, Call, UnaryLayer
from archdsl.layers.call import Value
from archdsl.model import Model
from archdsl.modules import (
    Apply,
    ClassPlan,
    Flattening,
    Fork,
    Head,
    Instance,
    Item,
    Leaf,
    Recall,
    Sequence,
    Step,
    camel_case,
)

#: Class names the generated module has already.
IMPORTED = ("Tensor", "Mapping", "NamedTuple", "None", "True", "False")

#: Helper classes by name, in the registry's order; then those of deployment alone.
SUPPORT = {
    layer.support.partition("(")[0].removeprefix("class "): layer.support.rstrip()
    for layer in (*REGISTRY.values(), *PAGES)
    if layer.support
}


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """One place where a class is instantiated: its plan, in its network."""

    plan: ClassPlan
    model: Model

    def call_of(self, leaf: Leaf) -> Call:
        """The call that constructs a layer's module."""
        node = self.model.nodes[leaf.node]
        assert isinstance(node.layer, UnaryLayer)
        return node.layer.emit(self.model.nodes[node.inputs[0]].volume)

    def node(self, id: int) -> Node:
        return self.model.nodes[id]


@dataclass(eq=False)
class Class:
    """A class of the module, with all the uses it serves."""

    name: str
    #: The first one has all that any has, optional branches included.
    uses: list[Use] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)

    @property
    def plan(self) -> ClassPlan:
        return self.uses[0].plan


@dataclass(frozen=True, slots=True)
class Parameter:
    """A constructor argument: its name, its type and its value for each use.

    One with a default of the spec is given by keyword, and only where it differs.
    """

    name: str
    values: tuple[Value, ...]
    default: Value | None = None

    @property
    def type(self) -> str:
        return " | ".join(sorted({_type_of(value) for value in self.values}))


def _type_of(value: Value) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join('int' for _ in value)}]"
    return type(value).__name__


class Classes:
    """All classes below the networks of one module, inner before outer."""

    def __init__(self, models: Listing[Model]) -> None:
        self._names = {*IMPORTED, *(network_class_name(model) for model in models)}
        self._names |= SUPPORT.keys()
        self._by_signature: dict[Signature, list[Use]] = {}
        for model in models:
            self._collect_plan(model.plan, model)
        self._unite_variants()
        self._all = [
            Class(self.fresh(camel_case(uses[0].plan.title)), uses)
            for uses in self._by_signature.values()
        ]
        self._place = {
            id(use.plan): (cls, index) for cls in self._all for index, use in enumerate(cls.uses)
        }
        # A united class may have come behind one that is built of it.
        ordered: dict[int, Class] = {}
        for cls in self._all:
            self._put_behind_its_parts(cls, ordered)
        self._all = list(ordered.values())

    def __iter__(self) -> Iterator[Class]:
        return iter(self._all)

    def of(self, plan: ClassPlan) -> Class:
        """The class that serves a plan."""
        return self._place[id(plan)][0]

    def arguments(self, plan: ClassPlan) -> list[tuple[Parameter, Value]]:
        """The constructor arguments for one use of a class."""
        found, index = self._place[id(plan)]
        return [(parameter, parameter.values[index]) for parameter in found.parameters]

    def _collect_plan(self, plan: ClassPlan, model: Model) -> None:
        for item in items_of(plan):
            self._collect(item, model)

    def _collect(self, item: Item, model: Model) -> None:
        match item:
            case Sequence(items=items):
                for inner in items:
                    self._collect(inner, model)
            case Instance(plan=plan):
                self._collect_plan(plan, model)
                use = Use(plan, model)
                self._by_signature.setdefault(_sign_class(plan, use), []).append(use)

    def _put_behind_its_parts(self, cls: Class, ordered: dict[int, Class]) -> None:
        if id(cls) in ordered:
            return
        for use in cls.uses:
            for plan in plans_in(items_of(use.plan)):
                self._put_behind_its_parts(self.of(plan), ordered)
        ordered[id(cls)] = cls

    def _unite_variants(self) -> None:
        """Let one class serve the uses of a block that differ by an optional branch."""
        kept: dict[Signature, list[Use]] = {}
        for signature, uses in self._by_signature.items():
            for other, others in kept.items():
                both = unite(signature, other)
                # One of the two must be the whole, which is then written down.
                if both in (signature, other) and _is_choice(uses[0], others[0]):
                    assert both is not None
                    del kept[other]
                    kept[both] = [*uses, *others] if both == signature else [*others, *uses]
                    break
            else:
                kept[signature] = uses
        self._by_signature = kept

    def fresh(self, name: str) -> str:
        """The name, or one like it that no class of the module has; then it is taken."""
        count, fresh = 1, name
        while fresh in self._names:
            count += 1
            fresh = f"{name}{count}"
        self._names.add(fresh)
        return fresh


def network_class_name(model: Model) -> str:
    """The class of a network: its name in the spec, with a capital in front."""
    name = model.name[0].upper() + model.name[1:]
    return f"{name}Network" if name in IMPORTED or name in SUPPORT else name


def items_of(plan: ClassPlan) -> Iterator[Item]:
    """The items a class constructs, in order."""
    if plan.row is not None:
        yield from plan.row
    else:
        for apply in applies_of(plan.steps):
            yield apply.item


def plans_in(items: Iterable[Item]) -> Iterator[ClassPlan]:
    """The plans of the objects among items, those in rows included."""
    for item in items:
        match item:
            case Instance(plan=plan):
                yield plan
            case Sequence(items=inner):
                yield from plans_in(inner)


def applies_of(steps: tuple[Step, ...]) -> Iterator[Apply]:
    """The attributes of a class, in execution order."""
    for step in steps:
        match step:
            case Apply():
                yield step
            case Head(apply=apply):
                yield apply
            case Fork(branches=branches):
                for branch in branches:
                    yield from applies_of(branch)


def _is_choice(a: Use, b: Use) -> bool:
    """Whether an ``if`` of the one block decides over each branch that only one of them has."""
    if a.plan.call is None or b.plan.call is None:
        return False
    block = a.plan.call.block
    if block.span != b.plan.call.block.span:
        return False
    names = {"C", *(name for name, _ in a.plan.call.arguments)}
    return all(
        choice.condition is not None
        and names_of(choice.condition) <= names
        and choice.input == whole.plan.input
        for whole, part in ((a, b), (b, a))
        for choice in choices(whole.plan, part.plan, whole.model.nodes, block)
    )


# ── Signatures ───────────────────────────────────────────────────────────────────────────────


def _sign_class(plan: ClassPlan, use: Use) -> Signature:
    """What two plans must share to be one class: title and structure, not numbers."""
    if plan.row is not None:
        return (plan.title, "row", *(_sign_item(item, use) for item in plan.row))
    steps = tuple(_sign_step(step, use) for step in plan.steps)
    return (plan.title, "steps", *steps, *(recall.target for recall in plan.recalls))


def _sign_item(item: Item, use: Use) -> Signature:
    match item:
        case Leaf():
            return ("leaf", *_sign_call(use.call_of(item)))
        case Flattening():
            return ("flatten",)
        case Sequence(items=items):
            return ("sequence", *(_sign_item(inner, use) for inner in items))
        case Instance(plan=plan):
            return ("instance", _sign_class(plan, use))


def _sign_call(call: Call) -> Signature:
    arguments = (
        _sign_call(arg.value) if isinstance(arg.value, Call) else arg.keyword for arg in call.args
    )
    return (call.callee, *arguments)


def _sign_step(step: Step, use: Use) -> Signature:
    match step:
        case Apply():
            recalls = tuple(recall.target for recall in step.recalls)
            item = _sign_item(step.item, use)
            pieces = len(step.pieces)
            return ("apply", step.attribute, step.flatten, step.each, recalls, pieces, item)
        case Head(apply=apply):
            return ("head", _sign_step(apply, use))
        case Recall(part=part):
            return ("recall", part.target)
        case Fork(node=node, branches=branches):
            signed = tuple(tuple(_sign_step(s, use) for s in branch) for branch in branches)
            return ("fork", use.node(node).layer.name, signed)


def arguments_of(call: Call) -> Iterator[Arg]:
    """The plain arguments of a call, those of nested calls included, in a fixed order."""
    for arg in call.args:
        if isinstance(arg.value, Call):
            yield from arguments_of(arg.value)
        else:
            yield arg
