"""One class for a block whose body has a choice: the shortcut that is projected or plain.

Two uses of a block differ in structure where an ``if`` of its body went the other way. Where all
that differs is a branch that is a part in one use and nothing in the other, one class serves
both: it builds the part under the condition of the spec, and ``nn.Identity`` else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Listing
from dataclasses import dataclass
from typing import TypeAlias

from archdsl import syntax
from archdsl.elaborate.values import names_in
from archdsl.graph import Node, Value
from archdsl.modules import Apply, ClassPlan, Flattening, Fork, Instance, Item, Leaf, Sequence
from archdsl.source import Span

Signature: TypeAlias = tuple[object, ...]


def unite(a: Signature, b: Signature) -> Signature | None:
    """The signature that serves both, optional branches present; None where there is none."""
    if a == b:
        return a
    if len(a) != len(b):
        return None
    if a[0] == b[0] == "fork" and len(a) == 3 and a[1] != "steps":
        return _unite_forks(a, b)
    if a[0] == b[0] == "instance" and len(a) == 2:
        return None  # one class inside cannot stand for another
    united = []
    for one, other in zip(a, b, strict=True):
        both = one if one == other else None
        if both is None and isinstance(one, tuple) and isinstance(other, tuple):
            both = unite(one, other) if one and other else None
        if both is None:
            return None
        united.append(both)
    return tuple(united)


def _unite_forks(a: Signature, b: Signature) -> Signature | None:
    _, merge, branches = a
    _, other_merge, others = b
    assert isinstance(branches, tuple)
    assert isinstance(others, tuple)
    if merge != other_merge or len(branches) != len(others):
        return None
    united = []
    for one, other in zip(branches, others, strict=True):
        if one != other and not (_is_optional(one, other) or _is_optional(other, one)):
            return None
        united.append(one or other)
    return ("fork", merge, tuple(united))


def _is_optional(present: Signature, absent: Signature) -> bool:
    return not absent and len(present) == 1


@dataclass(frozen=True, slots=True)
class Choice:
    """A branch that only some uses of a block have, with the condition of the spec."""

    apply: Apply
    #: None where no ``if`` of the block decides over this branch alone.
    condition: syntax.Expr | None
    #: The node whose volume ``C`` speaks of.
    input: int


def choices(
    whole: ClassPlan, part: ClassPlan, nodes: Listing[Node], block: syntax.Block
) -> Iterator[Choice]:
    """The branches of one plan that the other has empty; ``nodes`` are those of the first."""
    for fork, other in zip(whole.steps, part.steps, strict=True):
        if not isinstance(fork, Fork) or not isinstance(other, Fork):
            continue
        for branch, rest in zip(fork.branches, other.branches, strict=True):
            if branch and not rest:
                (apply,) = branch
                assert isinstance(apply, Apply)
                node = nodes[_first_node(apply.item)]
                yield Choice(apply, _condition_of(block, node.span), node.inputs[0])


def _first_node(item: Item) -> int:
    match item:
        case Leaf(node=node):
            return node
        case Sequence(items=items):
            return _first_node(next(i for i in items if not isinstance(i, Flattening)))
        case Instance(plan=plan) if plan.row is not None:
            return _first_node(Sequence(plan.row))
        case Instance(plan=plan):
            return plan.output
    raise AssertionError(item)


def _condition_of(block: syntax.Block, span: Span) -> syntax.Expr | None:
    """The ``if`` of a block that alone decides over the branch holding a place."""
    for chain in syntax.branches_in(block.body):
        match chain.statements:
            case (syntax.Cond(test=test, then=then, otherwise=other),):
                if _holds(then.span, span) and not isinstance(other, syntax.Cond):
                    return test
                if isinstance(other, syntax.Body) and _holds(other.span, span):
                    return syntax.Unary(test.span, "not", syntax.Paren(test.span, test))
    return None


def _holds(outer: Span, inner: Span) -> bool:
    same = outer.source is inner.source
    return same and outer.start <= inner.start and inner.end <= outer.end


def names_of(condition: syntax.Expr) -> set[str]:
    """The names a condition speaks of."""
    return set(names_in(condition))


def write_condition(
    condition: syntax.Expr, name: Callable[[str], str], known: Callable[[syntax.Expr], Value | None]
) -> str:
    """A condition in Python; ``known`` gives the value of what is the same for every use."""
    value = known(condition)
    if value is not None:
        return repr(value)
    match condition:
        case syntax.Name(id=word):
            return name(word)
        case syntax.Paren(value=inner):
            return f"({write_condition(inner, name, known)})"
        case syntax.Unary(operator=operator, operand=operand):
            gap = " " if operator == "not" else ""
            return f"{operator}{gap}{write_condition(operand, name, known)}"
        case syntax.Binary(operator=operator, left=left, right=right):
            # A side of `and` or `or` that is known either decides, or says nothing.
            for side, other in ((left, right), (right, left)):
                if operator in ("and", "or") and known(side) is not None:
                    return write_condition(other, name, known)
            written = (write_condition(side, name, known) for side in (left, right))
            # What `/` divides, it divides exactly.
            return (" // " if operator == "/" else f" {operator} ").join(written)
        case syntax.Call(name=function, arguments=arguments):
            values = (write_condition(argument.value, name, known) for argument in arguments)
            return f"{function.id}({', '.join(values)})"
    raise AssertionError(condition)
