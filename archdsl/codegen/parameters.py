"""What a constructor's arguments are called, and how the numbers inside a class follow from them.

For each number inside a class there is one value a use. Where all are equal it is a literal.
Else it is looked for among the symbols (the channels that come in, the block's own parameters),
their multiples, and the sums that ``concat`` makes; what is found nowhere becomes an argument
of its own. Every expression is verified for every use, so it is right, whatever it is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from archdsl.codegen.classes import Class, Classes, Parameter, Use, arguments_of
from archdsl.graph import Value as SpecValue
from archdsl.layers import Call
from archdsl.layers.call import Value
from archdsl.modules import (
    Apply,
    Flattening,
    Fork,
    Head,
    Instance,
    Item,
    Leaf,
    Recall,
    Sequence,
    Step,
    attribute_name,
)

Vector = tuple[Value, ...]


@dataclass(eq=False)
class Expressions:
    """The expressions of one class: for each argument of each layer, text or a literal."""

    #: By the node of the leaf in the first use, then by position of the argument.
    of_leaf: dict[int, list[str | None]] = field(default_factory=dict)
    #: By the identity of the plan in the first use.
    of_instance: dict[int, list[str | None]] = field(default_factory=dict)


def name_parameters(cls: Class, classes: Classes) -> Expressions:
    """Find the constructor arguments of a class and write its numbers with them."""
    return _Namer(cls, classes).run()


class _Namer:
    def __init__(self, cls: Class, classes: Classes) -> None:
        self.cls = cls
        self.classes = classes
        self.symbols = dict(_symbols(cls.uses))
        self.used: dict[str, Vector] = {}
        self.found = Expressions()

    def run(self) -> Expressions:
        plans = [use.plan for use in self.cls.uses]
        channels = self._channels([plan.input for plan in plans])
        entry = self._literal_or_symbol(channels)
        if plans[0].row is not None:
            self._row([plan.row or () for plan in plans], entry)
        else:
            self._steps([plan.steps for plan in plans], entry)
        order = [*self.symbols, *(name for name in self.used if name not in self.symbols)]
        self.cls.parameters = [
            Parameter(name, self.used[name]) for name in order if name in self.used
        ]
        return self.found

    def _channels(self, nodes: list[int]) -> Vector:
        pairs = zip(self.cls.uses, nodes, strict=True)
        return tuple(use.node(node).volume.channels for use, node in pairs)

    # ── Walking: ``flow`` is the expression of the current channels, where there is one ──────

    def _steps(self, steps: list[tuple[Step, ...]], flow: str | None) -> str | None:
        recalled: dict[int, str | None] = {}
        for step in zip(*steps, strict=True):
            match step[0]:
                case Apply(output=output):
                    flow = self._item([s.item for s in step if isinstance(s, Apply)], flow)
                    recalled[output] = flow
                case Head():
                    self._item([s.apply.item for s in step if isinstance(s, Head)], flow)
                case Recall(part=part):
                    flow = recalled.get(part.node)
                case Fork():
                    forks = [s for s in step if isinstance(s, Fork)]
                    ends = [
                        self._steps([fork.branches[index] for fork in forks], flow)
                        for index in range(len(forks[0].branches))
                    ]
                    flow = self._joined(self._channels([fork.node for fork in forks]), ends)
        return flow

    def _joined(self, channels: Vector, ends: list[str | None]) -> str | None:
        """The channels after a merge: one branch's, or the sum of all."""
        for end in ends:
            if end is not None and self._value(end) == channels:
                return end
        if all(end is not None for end in ends):
            total = " + ".join(end for end in ends if end is not None)
            if self._value(total) == channels:
                return total
        return self._literal_or_symbol(channels)

    def _row(self, rows: list[tuple[Item, ...]], flow: str | None) -> str | None:
        for items in zip(*rows, strict=True):
            flow = self._item(list(items), flow)
        return flow

    def _item(self, items: list[Item], flow: str | None) -> str | None:
        match items[0]:
            case Flattening():
                return None
            case Sequence():
                return self._row([i.items for i in items if isinstance(i, Sequence)], flow)
            case Leaf():
                return self._leaf([i for i in items if isinstance(i, Leaf)], flow)
            case Instance():
                return self._instance([i for i in items if isinstance(i, Instance)], flow)
        raise AssertionError(items)

    def _leaf(self, leaves: list[Leaf], flow: str | None) -> str | None:
        uses = list(zip(self.cls.uses, leaves, strict=True))
        calls = [use.call_of(leaf) for use, leaf in uses]
        vectors = list(zip(*([a.value for a in arguments_of(c)] for c in calls), strict=True))
        names = [arg.keyword or _role(calls[0], i) for i, arg in enumerate(arguments_of(calls[0]))]
        expressions = [
            self._express(vector, flow, names[index], is_input=index == 0)
            for index, vector in enumerate(vectors)
        ]
        self.found.of_leaf[leaves[0].node] = expressions
        inputs = self._channels([use.node(leaf.node).inputs[0] for use, leaf in uses])
        outputs = self._channels([leaf.node for leaf in leaves])
        if outputs == inputs:
            return flow
        for vector, expression in zip(vectors, expressions, strict=True):
            if vector == outputs and expression is not None:
                return expression
        return self._literal_or_symbol(outputs)

    def _instance(self, items: list[Instance], flow: str | None) -> str | None:
        arguments = [self.classes.arguments(item.plan) for item in items]
        expressions: list[str | None] = []
        for index, (parameter, _) in enumerate(arguments[0]):
            vector = tuple(given[index][1] for given in arguments)
            expressions.append(self._express(vector, flow, parameter.name, is_input=index == 0))
        self.found.of_instance[id(items[0].plan)] = expressions
        outputs = self._channels([item.plan.output for item in items])
        if outputs == self._channels([item.plan.input for item in items]):
            return flow
        return self._literal_or_symbol(outputs)

    # ── Expressions ──────────────────────────────────────────────────────────────────────────

    def _express(
        self, vector: Vector, flow: str | None, name: str, *, is_input: bool
    ) -> str | None:
        """The expression for an argument; None where it is the same literal for every use.

        What comes in is written as it came (``flow``); other numbers by their own names first.
        """
        if _is_constant(vector):
            return None
        is_flow = flow is not None and self._value(flow) == vector
        found = flow if is_flow and is_input else self._symbol_for(vector)
        if found is None and is_flow:
            found = flow
        if found is not None:
            return self._use(found)
        fresh = self._fresh(name)
        self.symbols[fresh] = vector
        return self._use(fresh)

    def _literal_or_symbol(self, vector: Vector) -> str | None:
        return repr(vector[0]) if _is_constant(vector) else self._symbol_for(vector)

    def _symbol_for(self, vector: Vector) -> str | None:
        for name, values in self.symbols.items():
            if values == vector:
                return name
        for name, values in self.symbols.items():
            factor = _factor(vector, values)
            if factor is not None:
                return f"{factor} * {name}"
            divisor = _factor(values, vector)
            if divisor is not None:
                return f"{name} // {divisor}"
        return None

    def _use(self, expression: str) -> str:
        for name in _names_in(expression):
            self.used[name] = self.symbols[name]
        return expression

    def _fresh(self, name: str) -> str:
        count, fresh = 1, name
        while fresh in self.symbols:
            count += 1
            fresh = f"{name}{count}"
        return fresh

    def _value(self, expression: str) -> Vector:
        """An expression's value for each use: products and quotients of sums' terms."""
        total = [0] * len(self.cls.uses)
        for term in expression.split(" + "):
            for index, value in enumerate(self._term(term)):
                total[index] += value
        return tuple(total)

    def _term(self, term: str) -> list[int]:
        left, operator, right = term.partition(" * ")
        if operator:
            return [int(left) * value for value in self._integers(right)]
        left, operator, right = term.partition(" // ")
        if operator:
            return [value // int(right) for value in self._integers(left)]
        return self._integers(term)

    def _integers(self, name: str) -> list[int]:
        if name.isdecimal():
            return [int(name)] * len(self.cls.uses)
        return [value for value in self.symbols[name] if isinstance(value, int)]


def _symbols(uses: list[Use]) -> Iterator[tuple[str, Vector]]:
    """What differs between the uses and has a name: incoming channels, then parameters."""
    channels: Vector = tuple(use.node(use.plan.input).volume.channels for use in uses)
    if not _is_constant(channels):
        yield "in_channels", channels
    call = uses[0].plan.call
    if call is None:
        return
    for name, _ in call.arguments:
        vector = tuple(_emitted(_argument(use, name)) for use in uses)
        if not _is_constant(vector):
            yield _safe(name), vector


def _argument(use: Use, name: str) -> SpecValue:
    assert use.plan.call is not None
    return dict(use.plan.call.arguments)[name]


def _emitted(value: SpecValue) -> Value:
    """A value of the spec as the constructors take it: ``3x3`` is 3."""
    if isinstance(value, tuple) and len(set(value)) == 1:
        return value[0]
    return value


def _safe(name: str) -> str:
    return (
        f"{name}_" if name in ("self", "nn", "torch", "x", "in_channels") else attribute_name(name)
    )


def _role(call: Call, index: int) -> str:
    """A name for a positional argument that nothing in the spec names."""
    return "in_features" if index == 0 and call.callee == "nn.Linear" else "size"


def _is_constant(vector: Vector) -> bool:
    first = vector[0]
    return all(value == first and type(value) is type(first) for value in vector)


def _factor(vector: Vector, values: Vector) -> int | None:
    """k where vector = k · values for every use, k a whole number above 1."""
    ratios: set[int] = set()
    for a, b in zip(vector, values, strict=True):
        if not isinstance(a, int) or not isinstance(b, int) or not b or a % b:
            return None
        ratios.add(a // b)
    if len(ratios) != 1:
        return None
    factor = ratios.pop()
    return factor if factor > 1 else None


def _names_in(expression: str) -> Iterator[str]:
    for word in expression.replace("*", " ").replace("//", " ").replace("+", " ").split():
        if not word.isdecimal():
            yield word
