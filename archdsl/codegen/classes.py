"""Which classes a module has: one for each block, and one for each part that needs its own.

A class is written from all its instantiations at once. Where their texts differ in more than
arguments and conditions can express, for example where only some have an auxiliary head, each group
of instantiations that agree shares a class.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from archdsl.classplan import ClassPlan, camel_case, heads_of, plans_in, run_items_of
from archdsl.codegen.constructor import Constructor
from archdsl.codegen.forward import Forward
from archdsl.codegen.lanes import (
    ENTRY,
    DisagreementError,
    Instantiation,
    Lane,
    Level,
    agreed,
    names_in,
)
from archdsl.codegen.layout import DocItem, Verbatim, bracketed, lay_out
from archdsl.codegen.names import PythonScope
from archdsl.codegen.signature import ClassParameter
from archdsl.codegen.tracing import form_of
from archdsl.deployment import DEFINITIONS
from archdsl.layers import REGISTRY
from archdsl.layers.volume import Volume
from archdsl.network.symbols import ListValue, Parameter, Size, Symbolic, Value

#: Helper classes by name, in the registry's order; then those of deployment alone.
SUPPORT = {
    name: source.rstrip()
    for layer in (*REGISTRY.values(), *DEFINITIONS)
    for name, source in layer.helpers().items()
}


@dataclass(frozen=True, slots=True)
class ClassText:
    """All of a class except its name and its docstring, as finished lines."""

    parameters: tuple[ClassParameter, ...]
    is_sequential: bool
    init_lines: tuple[str, ...]
    forward_header: tuple[str, ...] = ()
    forward_lines: tuple[str, ...] = ()
    head_weights: str = ""
    #: Attributes that never change, from which TorchScript knows where an `if` leads.
    constants: tuple[str, ...] = ()

    @property
    def init_header(self) -> list[str]:
        parameters = [DocItem(Verbatim(parameter.text)) for parameter in self.parameters]
        init = bracketed("__init__(", [DocItem(Verbatim("self")), *parameters])
        return lay_out("def ", init, 1, " -> None:")


@dataclass(eq=False)
class Class:
    """A class of the module, with all the instantiations that it serves."""

    name: str
    text: ClassText
    lanes: list[Lane]
    _by_plan: dict[int, Lane] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.serve(self.lanes)

    def serve(self, lanes: Sequence[Lane]) -> None:
        """Take on more instantiations that the same text serves."""
        self._by_plan |= {id(lane.use.plan): lane for lane in lanes}

    @property
    def plan(self) -> ClassPlan:
        return self.lanes[0].use.plan

    @property
    def parameters(self) -> tuple[ClassParameter, ...]:
        return self.text.parameters

    def argument(self, plan: ClassPlan, symbol: str) -> Symbolic:
        """What an instantiation gives for a parameter, in terms of the spec around it."""
        lane = self._by_plan[id(plan)]
        size = lane.captured_size(symbol)
        if size is None and symbol.startswith(ENTRY):
            size = Size(plan.input, symbol[-1])
        if size is not None:
            return Symbolic(_size(lane, symbol), size)
        given = next(a for a in lane.use.arguments if a.name == symbol)
        # A part takes the parameter of the block around it.
        return Symbolic(given.value, given.form if plan.call else Parameter(symbol))

    def exit(self, plan: ClassPlan) -> Volume:
        """The volume after an instantiation, in terms of the parameters of the class."""
        return self._by_plan[id(plan)].volume_of(plan.output)


class Classes:
    """All classes below the networks of one module, inner before outer."""

    def __init__(self, uses: Sequence[Instantiation], scope: PythonScope) -> None:
        self._scope = scope
        self._classes: list[Class] = []
        self._of: dict[int, Class] = {}
        self._kinds: dict[Hashable, list[Instantiation]] = {}
        for use in uses:
            self._collect(use)
        written: set[Hashable] = set()
        for kind in self._kinds:
            self._write(kind, written)

    def __iter__(self) -> Iterator[Class]:
        return iter(self._classes)

    @property
    def names(self) -> set[str]:
        """The names that the module has so far."""
        return self._scope.taken

    def of(self, plan: ClassPlan) -> Class:
        """The class that serves a plan."""
        return self._of[id(plan)]

    def _collect(self, around: Instantiation) -> None:
        for plan in plans_in(run_items_of(around.plan)):
            inner = _inside(around, plan)
            self._collect(inner)
            self._kinds.setdefault(_kind_of(inner), []).append(inner)

    def _write(self, kind: Hashable, written: set[Hashable]) -> None:
        """Write the classes of one kind, after those that they are built of."""
        if kind in written:
            return
        written.add(kind)
        uses = self._kinds[kind]
        for use in uses:
            for plan in plans_in(run_items_of(use.plan)):
                self._write(_kind_of(_inside(use, plan)), written)
        for text, lanes in write_together(uses, self):
            self._add(text, lanes)

    def _add(self, text: ClassText, lanes: list[Lane]) -> None:
        title = lanes[0].use.plan.title
        known = next((c for c in self._classes if c.plan.title == title and c.text == text), None)
        # Parts with the same name and the same text share a class; a block always has its own.
        if known is None or lanes[0].use.is_block or known.lanes[0].use.is_block:
            known = Class(self._scope.give_numbered(camel_case(title)), text, lanes)
            self._classes.append(known)
        else:
            known.serve(lanes)
        self._of |= {id(lane.use.plan): known for lane in lanes}


def _inside(around: Instantiation, plan: ClassPlan) -> Instantiation:
    """The instantiation of a class inside another: a part sees the parameters around it."""
    if plan.call:
        return Instantiation(plan, around.model, plan.call.arguments)
    return Instantiation(plan, around.model, around.arguments, around.literals)


def _kind_of(use: Instantiation) -> Hashable:
    """What instantiations that may share a class have in common: a block, or a statement.

    In a family with its defaults a statement has literals where members have parameters.
    """
    plan = use.plan
    return (plan.title, plan.call is not None, plan.origin, bool(use.literals))


# ── From instantiations to texts ─────────────────────────────────────────────────────────────


#: Lines at the end of the ``__init__`` of an instantiation.
End: TypeAlias = Callable[[Instantiation], Sequence[str]]


def write_together(
    uses: Sequence[Instantiation], classes: Classes, end: End | None = None
) -> list[tuple[ClassText, list[Lane]]]:
    """The texts for some instantiations: a single one where possible, and never a wrong one."""
    found = _try_levels(uses, classes, end)
    if found is not None:
        return [found]
    alike: dict[ClassText, list[Instantiation]] = {}
    for use in uses:
        level = Level.ALL if end is None else Level.NONE
        text, _ = _write_class([use], level, classes, end)
        alike.setdefault(text, []).append(use)
    groups: list[list[list[Instantiation]]] = []
    for some in alike.values():
        for group in groups:
            firsts = [one[0] for one in (*group, some)]
            if _try_levels(firsts, classes, end) is not None:
                group.append(some)
                break
        else:
            groups.append([some])
    texts: list[tuple[ClassText, list[Lane]]] = []
    for group in groups:
        together = [use for some in group for use in some]
        found = _try_levels(together, classes, end)
        if found is not None:
            texts.append(found)
            continue
        for use in together:
            found = _try_levels([use], classes, end)
            assert found is not None
            texts.append(found)
    return texts


def _try_levels(
    uses: Sequence[Instantiation], classes: Classes, end: End | None
) -> tuple[ClassText, list[Lane]] | None:
    """One text for all instantiations, with as few sizes as possible as arguments, or None."""
    levels: Sequence[Level] = (Level.CHANNELS, Level.ALL)
    if end is not None:
        levels = (Level.NONE,)  # a network
    elif not uses[0].is_block and not uses[0].arguments:
        levels = (Level.NONE, *levels)
    for level in levels:
        try:
            return _write_class(uses, level, classes, end)
        except DisagreementError:
            continue
    return None


def _write_class(
    uses: Sequence[Instantiation],
    level: Level,
    classes: Classes,
    end: End | None,
    unasked: Collection[str] = (),
) -> tuple[ClassText, list[Lane]]:
    """The text of a class that serves some instantiations. Errors: ``DisagreementError``."""
    lanes = [Lane(use, level) for use in uses]
    plans = [use.plan for use in uses]
    is_network = end is not None
    ends_of = end or (lambda use: ())
    has_volumes = len(lanes) == 1 or is_network
    title = title_of(uses[0])
    taken = sorted(classes.names)
    constructor = Constructor(
        lanes, classes.of, title, has_volumes=has_volumes, taken=taken, unasked=unasked
    )
    constructor.is_network = is_network
    agreed(tuple(argument.name for argument in use.arguments) for use in uses)
    agreed(plan.row is None for plan in plans)
    agreed(len(plan.references) for plan in plans)
    if plans[0].row is not None:
        rows = [plan.row or () for plan in plans]
        row = constructor.sequential("super().__init__(", lanes, rows)
        _check_exits(lanes)
        body = lay_out("", row, 2)
        ends = agreed(tuple(ends_of(use)) for use in uses)
        lines = (*constructor.guard_lines(), *body, *ends)
        return ClassText(_parameters(constructor, lanes), True, lines), lanes
    steps = constructor.steps(lanes, [plan.steps for plan in plans])
    _check_exits(lanes)
    forwards = [
        Forward(plan, gone, constructor.merges[id(lane)], lane.use.result_class)
        for plan, gone, lane in zip(plans, steps, lanes, strict=True)
    ]
    bodies = agreed(tuple(forward.lines()) for forward in forwards)
    if not forwards[0].asked.issuperset(constructor.constants):
        # The ways of an `if` differ only in their layers, so `forward` is the same for all.
        rest = {*unasked, *constructor.constants} - forwards[0].asked
        return _write_class(uses, level, classes, end, rest)
    header = agreed(tuple(_forward_header(forward)) for forward in forwards)
    weights = agreed(_weights(plan) for plan in plans)
    ends = agreed(tuple(ends_of(use)) for use in uses)
    lines = (*constructor.guard_lines(), *constructor.flags, *constructor.body, *ends)
    parameters = _parameters(constructor, lanes)
    constants = tuple(constructor.constants)
    return ClassText(parameters, False, lines, header, bodies, weights, constants), lanes


def _check_exits(lanes: Sequence[Lane]) -> None:
    """Check that each lane can tell the sizes after the class. Errors: ``DisagreementError``.

    After an `if` they may depend on a size outside the class that only another lane asks for.
    """
    for lane in lanes:
        for size in lane.volume_of(lane.use.plan.output).sizes:
            for name in names_in(form_of(size)):
                lane.captured_size(name)


def title_of(use: Instantiation) -> str:
    """What a class is called in the spec: its block, its part, its network or its family."""
    member = use.model.member
    is_family = member is not None and use.plan is use.model.plan
    return member.family.name if member and is_family else use.plan.title


def _forward_header(forward: Forward) -> list[str]:
    tensors = [DocItem(Verbatim(f"{name}: Tensor")) for name in forward.parameters]
    signed = bracketed("forward(", [DocItem(Verbatim("self")), *tensors])
    result = forward.result_class or "Tensor"
    if forward.heads:
        outputs = ", ".join(["Tensor"] * (1 + len(forward.heads)))
        result = f"Tensor | tuple[{outputs}]"
    return lay_out("def ", signed, 1, f" -> {result}:")


def _weights(plan: ClassPlan) -> str:
    """The weights of the heads' losses as a tuple, or nothing where there are no heads."""
    heads = [head.weight for head in heads_of(plan.steps)]
    weights = ", ".join(_weight(weight) for weight in heads)
    if len(heads) == 1:
        weights += ","
    return f"({weights})" if heads else ""


def _weight(weight: float) -> str:
    """The shortest text that is exactly this weight."""
    short = f"{weight:g}"
    return short if float(short) == weight else repr(weight)


def _parameters(constructor: Constructor, lanes: Sequence[Lane]) -> tuple[ClassParameter, ...]:
    """The arguments of a constructor: sizes first, then the spec's parameters in its order."""
    given = [lane.use.arguments for lane in lanes]
    found = [
        _parameter(symbol, constructor, [_size(lane, symbol) for lane in lanes])
        for symbol in constructor.sizes
        if symbol in constructor.used
    ]
    for index, argument in enumerate(given[0]):
        if argument.name in constructor.used:
            values = [arguments[index].value for arguments in given]
            is_own = lanes[0].use.is_block or constructor.is_network
            default = argument.default if is_own else None
            found.append(_parameter(argument.name, constructor, values, default))
    captured = sorted(symbol for symbol in constructor.used if symbol.startswith("@"))
    found += [
        _parameter(symbol, constructor, [_size(lane, symbol) for lane in lanes])
        for symbol in captured
    ]
    return _in_legal_order(found)


def _in_legal_order(parameters: list[ClassParameter]) -> tuple[ClassParameter, ...]:
    """The same, without defaults before a parameter that has none: each call gives these, too."""
    last = max((i for i, p in enumerate(parameters) if p.default is None), default=-1)
    return tuple(
        ClassParameter(p.symbol, p.name, p.type) if index < last else p
        for index, p in enumerate(parameters)
    )


def _size(lane: Lane, symbol: str) -> int:
    size = lane.captured_size(symbol) or Size(lane.use.plan.input, symbol[-1])
    return lane.use.node(size.node).volume.size(size.axis)


def _parameter(
    symbol: str, constructor: Constructor, values: Sequence[Value], default: Value | None = None
) -> ClassParameter:
    kinds = {_type_of(value) for value in (*values, *([] if default is None else [default]))}
    # A number written as `1` in one place and `0.5` in another is a float.
    kinds -= {"int"} if "float" in kinds else set()
    return ClassParameter(symbol, constructor.names[symbol], " | ".join(sorted(kinds)), default)


def _type_of(value: Value) -> str:
    if isinstance(value, ListValue):
        kinds = sorted({_type_of(one) for one in value}) or ["int"]
        return f"tuple[{' | '.join(kinds)}, ...]"
    if isinstance(value, tuple):
        return f"tuple[{', '.join('int' for _ in value)}]"
    return type(value).__name__
