"""What a constructor's arguments are called, and how the numbers inside a class follow from them.

For each number inside a class there is one value a use. Where all are equal it is a literal.
Else it is looked for among the symbols (the channels that come in, the block's own parameters),
their multiples, and the sums that ``concat`` makes; what is found nowhere becomes an argument
of its own. Every expression is verified for every use, so it is right, whatever it is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from archdsl import syntax
from archdsl.codegen.classes import (
    Class,
    Classes,
    Parameter,
    Use,
    applies_of,
    arguments_of,
)
from archdsl.codegen.variants import choices, write_condition
from archdsl.elaborate.values import Context, Values, evaluate, names_in
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
    #: By attribute: when a part that not all uses have is built.
    conditions: dict[str, str] = field(default_factory=dict)


def name_parameters(cls: Class, classes: Classes) -> Expressions:
    """Find the constructor arguments of a class and write its numbers with them."""
    return _Namer(cls, classes).run()


class _Namer:
    def __init__(self, cls: Class, classes: Classes) -> None:
        self.cls = cls
        self.classes = classes
        self.all_symbols = dict(_symbols(cls.uses))
        self.used: set[str] = set()
        self.found = Expressions()
        #: The uses that have what is being walked: all but in an optional branch.
        self.active = list(range(len(cls.uses)))

    @property
    def uses(self) -> list[Use]:
        return [self.cls.uses[index] for index in self.active]

    @property
    def symbols(self) -> dict[str, Vector]:
        """The values of each name for the active uses."""
        if not self.is_optional:
            return self.all_symbols
        return {name: self._of_active(values) for name, values in self.all_symbols.items()}

    def _of_active(self, values: Vector) -> Vector:
        return tuple(values[index] for index in self.active)

    @property
    def is_optional(self) -> bool:
        return len(self.active) < len(self.cls.uses)

    def run(self) -> Expressions:
        plans = [use.plan for use in self.uses]
        channels = self._channels([plan.input for plan in plans])
        entry = self._literal_or_symbol(channels)
        if plans[0].row is not None:
            self._row([plan.row or () for plan in plans], entry)
        else:
            self._steps([plan.steps for plan in plans], entry)
        parameters = [
            Parameter(name, values, self._default(name, values))
            for name, values in self.all_symbols.items()
            if name in self.used
        ]
        # As Python wants them: those with a default last.
        self.cls.parameters = sorted(parameters, key=lambda p: p.default is not None)
        return self.found

    def _default(self, name: str, values: Vector) -> Value | None:
        """What the spec gives a parameter that a call leaves out, where one does."""
        call = self.cls.plan.call
        for formal in call.block.formals if call else ():
            if formal.name.id == name and isinstance(formal.default, syntax.Number):
                default = formal.default.value
                return default if default in values else None
        return None

    def _channels(self, nodes: list[int]) -> Vector:
        pairs = zip(self.uses, nodes, strict=True)
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
                        self._branch([fork.branches[index] for fork in forks], flow)
                        for index in range(len(forks[0].branches))
                    ]
                    flow = self._joined(self._channels([fork.node for fork in forks]), ends)
        return flow

    def _branch(self, branches: list[tuple[Step, ...]], flow: str | None) -> str | None:
        """One branch of a fork, which some uses may have empty."""
        if all(branches) or not any(branches):
            return self._steps(branches, flow)
        everyone = self.active
        self.active = [i for i, branch in zip(everyone, branches, strict=True) if branch]
        (apply,) = branches[0]
        assert isinstance(apply, Apply)
        end = self._steps([branch for branch in branches if branch], flow)
        self.active = everyone
        self.found.conditions[apply.attribute] = self._condition(apply)
        return end

    def _condition(self, apply: Apply) -> str:
        """The condition of the spec under which a part exists, in the names of the class."""
        first = self.cls.uses[0]
        assert first.plan.call is not None
        block = first.plan.call.block
        empty = next(use for use in self.cls.uses if not _has(use, apply.attribute))
        found = choices(first.plan, empty.plan, first.model.nodes, block)
        choice = next(choice for choice in found if choice.apply.attribute == apply.attribute)
        assert choice.condition is not None
        names = {_safe(name): name for name, _ in first.plan.call.arguments}
        names["in_channels"] = "C"
        varying = {names[symbol] for symbol in self.all_symbols if symbol in names}
        values = Values()
        values.own |= {name: (value, block.span) for name, value in first.plan.call.arguments}
        context = Context(values, first.node(first.plan.input).volume)

        def known(expr: syntax.Expr) -> SpecValue | None:
            return None if set(names_in(expr)) & varying else evaluate(expr, context)

        def write(name: str) -> str:
            return self._use("in_channels" if name == "C" else _safe(name))

        return write_condition(choice.condition, write, known)

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
        uses = list(zip(self.uses, leaves, strict=True))
        calls = [use.call_of(leaf) for use, leaf in uses]
        vectors = list(zip(*([a.value for a in arguments_of(c)] for c in calls), strict=True))
        names = [arg.keyword or _role(calls[0], i) for i, arg in enumerate(arguments_of(calls[0]))]
        first, leaf = uses[0]
        # Numbers apart: `3x3` mentions 3.
        mentioned = frozenset(re.findall(r"[^\W\d]\w*|\d+", first.node(leaf.node).span.text))
        expressions = [
            self._express(vector, flow, names[index], mentioned, is_input=index == 0)
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
            expressions.append(
                self._express(vector, flow, parameter.name, frozenset(), is_input=index == 0)
            )
        self.found.of_instance[id(items[0].plan)] = expressions
        outputs = self._channels([item.plan.output for item in items])
        if outputs == self._channels([item.plan.input for item in items]):
            return flow
        return self._literal_or_symbol(outputs)

    # ── Expressions ──────────────────────────────────────────────────────────────────────────

    def _express(
        self,
        vector: Vector,
        flow: str | None,
        name: str,
        mentioned: frozenset[str],
        *,
        is_input: bool,
    ) -> str | None:
        """The expression for an argument; None where it is the same literal for every use.

        What comes in is written as it came (``flow``); other numbers by their own names first,
        and of these by one that the spec mentions there.
        """
        is_flow = flow is not None and self._value(flow) == vector
        if _is_constant(vector):
            # In an optional branch the few uses may agree by chance: there, what is written
            # decides whether a number is meant, or a name that happens to have its value.
            if not self.is_optional or str(vector[0]) in mentioned:
                return None
            if flow is not None and is_flow and is_input:
                return self._use(flow)
            named = [n for n, values in self.symbols.items() if values == vector]
            return next((self._use(n) for n in named if n in mentioned), None)
        found = flow if is_flow and is_input else self._symbol_for(vector, mentioned)
        if found is None and is_flow:
            found = flow
        if found is not None:
            return self._use(found)
        if self.is_optional:
            # Unknown for the other uses: any value will do there, so theirs is the first.
            known = iter(vector)
            all_values = [
                next(known) if index in self.active else vector[0]
                for index in range(len(self.cls.uses))
            ]
            vector = tuple(all_values)
        fresh = self._fresh(name)
        self.all_symbols[fresh] = vector
        return self._use(fresh)

    def _literal_or_symbol(self, vector: Vector) -> str | None:
        return repr(vector[0]) if _is_constant(vector) else self._symbol_for(vector)

    def _symbol_for(
        self,
        vector: Vector,
        mentioned: frozenset[str] = frozenset(),
    ) -> str | None:
        """A name, a multiple, a part or a product of names that has these values."""
        known = self.symbols
        names = sorted(known, key=lambda name: name not in mentioned)
        for name in names:
            if known[name] == vector:
                return name
        for name in names:
            factor = _factor(vector, known[name])
            if factor is not None:
                return f"{factor} * {name}"
            if (product := self._product(vector, name, names)) is not None:
                return product
            divisor = _factor(known[name], vector)
            if divisor is not None:
                return f"{name} // {divisor}"
            if vector == tuple(v // 2 if isinstance(v, int) else None for v in known[name]):
                return f"{name} // 2"  # the padding of an odd kernel
        return None

    def _product(self, vector: Vector, name: str, names: list[str]) -> str | None:
        known = self.symbols
        for other in names[names.index(name) :]:
            pairs = zip(known[name], known[other], strict=True)
            values = [
                a * b if isinstance(a, int) and isinstance(b, int) else None for a, b in pairs
            ]
            if tuple(values) == vector and other != name:
                return f"{name} * {other}"
        return None

    def _use(self, expression: str) -> str:
        self.used.update(_names_in(expression))
        return expression

    def _fresh(self, name: str) -> str:
        count, fresh = 1, name
        while fresh in self.all_symbols:
            count += 1
            fresh = f"{name}{count}"
        return fresh

    def _value(self, expression: str) -> Vector:
        """An expression's value for each use: products and quotients of sums' terms."""
        total = [0] * len(self.active)
        for term in expression.split(" + "):
            for index, value in enumerate(self._term(term)):
                total[index] += value
        return tuple(total)

    def _term(self, term: str) -> list[int]:
        left, operator, right = term.partition(" * ")
        if operator:
            pairs = zip(self._integers(left), self._integers(right), strict=True)
            return [a * b for a, b in pairs]
        left, operator, right = term.partition(" // ")
        if operator:
            return [value // int(right) for value in self._integers(left)]
        return self._integers(term)

    def _integers(self, name: str) -> list[int]:
        if name.isdecimal():
            return [int(name)] * len(self.active)
        return [value for value in self.symbols[name] if isinstance(value, int)]


def _has(use: Use, attribute: str) -> bool:
    return any(apply.attribute == attribute for apply in applies_of(use.plan.steps))


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
