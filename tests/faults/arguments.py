"""Faults of arguments: too many, too few, given twice, out of range, pairs where none belong."""

from __future__ import annotations

from collections.abc import Iterator

from archdsl.text import syntax

from .fault import Change, Changes, fault
from .spec import Spec


def _calls(spec: Spec) -> Iterator[syntax.Call]:
    """All calls of blocks and families that give arguments."""
    members = (i.call for i in spec.items(syntax.Instance) if isinstance(i, syntax.Instance))
    yield from (call for call in (*spec.calls, *members) if call.arguments)


@fault("surplus-argument", fixable=True)
def surplus_argument(spec: Spec) -> Changes:
    """an argument too many behind a layer"""
    for written in spec.layers:
        last = written.arguments[-1] if written.arguments else None
        places = {"conv": 2, "fc": 1, "maxpool": 1, "avgpool": 1, "dropout": 1, "gap": 0}
        bare = [a for a in written.arguments if isinstance(a, (syntax.Number, syntax.Dims))]
        if len(bare) == places.get(written.layer) and (last is None or last is bare[-1]):
            yield Change((last or written.name).span.after, " 77")


@fault("surplus-argument", fixable=True)
def surplus_argument_of_a_call(spec: Spec) -> Changes:
    """an argument too many in a call"""
    for call in _calls(spec):
        last = call.arguments[-1]
        if last.keyword is None:
            yield Change(last.span.after, ", 1, 1, 1, 1, 1")


@fault("missing-argument")
def missing_argument(spec: Spec) -> Changes:
    """a layer without the argument it needs"""
    for written in spec.layers:
        needed = {"conv": 1, "fc": 1, "maxpool": 1, "avgpool": 1}
        if written.layer in needed and len(written.arguments) <= 2 - (written.layer == "fc"):
            yield Change(written.span, written.layer)


@fault("missing-argument")
def missing_argument_of_a_call(spec: Spec) -> Changes:
    """a call without one of its arguments"""
    for call in _calls(spec):
        if len(call.arguments) > 2 and not any(a.keyword for a in call.arguments):
            first, last = call.arguments[0], call.arguments[-1]
            yield Change(first.span.to(last.span), first.span.text)


@fault("wrong-pair", "surplus-argument", "repeated-argument", fixable=True)
def pair_written_apart(spec: Spec) -> Changes:
    """a pair a→b written a, b"""
    for call in _calls(spec):
        for argument in call.arguments:
            if argument.pair:
                yield Change(argument.span, argument.span.text.replace("→", ", "))


@fault("wrong-pair")
def pair_where_none_belongs(spec: Spec) -> Changes:
    """a pair where one value belongs"""
    for call in _calls(spec):
        for argument in call.arguments:
            if argument.pair is None and argument.keyword is None:
                yield Change(argument.span, f"{argument.span.text}→8")


@fault("repeated-argument", fixable=True)
def argument_given_twice(spec: Spec) -> Changes:
    """an attribute given twice"""
    for written in spec.layers:
        last = written.arguments[-1] if written.arguments else None
        if isinstance(last, syntax.Flag):
            yield Change(last.span.after, f" {last.span.text}")
        elif isinstance(last, syntax.Name) and last.id in ("same", "ceil", "nobias"):
            yield Change(last.span.after, f" {last.id}")


@fault("wrong-value")
def stride_of_zero(spec: Spec) -> Changes:
    """a stride of 0"""
    for written in spec.layers:
        for atom in written.arguments:
            if isinstance(atom, syntax.Flag) and atom.letter == "s":
                yield Change(atom.span, "s0")


@fault("wrong-value")
def dropout_above_one(spec: Spec) -> Changes:
    """a dropout of 50 instead of 0.5"""
    for written in spec.layers:
        if written.layer == "dropout":
            yield Change(written.arguments[0].span, "50")


@fault("wrong-value")
def repeat_of_zero(spec: Spec) -> Changes:
    """a repeat of 0"""
    for step in spec.steps:
        if isinstance(step.repeat, syntax.Number):
            yield Change(step.repeat.span, "0")


@fault("wrong-axes")
def kernel_of_three_sizes(spec: Spec) -> Changes:
    """a kernel of three sizes"""
    for written in spec.layers:
        if written.layer == "conv" and isinstance(written.arguments[0], syntax.Dims):
            yield Change(written.arguments[0].span, "3x3x3")


@fault("wrong-axes", "wrong-volume", conflict=True)
def input_of_two_sizes(spec: Spec) -> Changes:
    """an input volume without its channels"""
    for network in spec.items(syntax.Network):
        assert isinstance(network, syntax.Network)
        if isinstance(network.input, syntax.Dims):
            yield Change(network.input.span, network.input.span.text.rpartition("x")[0])


@fault("inexact-division", fixable=True)
def inexact_division(spec: Spec) -> Changes:
    """a division that leaves a rest"""
    for written in spec.layers:
        if written.layer != "conv" or len(written.arguments) < 2:
            continue
        channels = written.arguments[1]
        if isinstance(channels, syntax.Number):
            yield Change(channels.span, f"({channels.span.text} / 7)")


@fault("repeated-argument")
def second_recipe(spec: Spec) -> Changes:
    """a network with two recipes"""
    for recipe in spec.recipes:
        yield Change(recipe.span.after, f"; {recipe.span.text}", recipe.span.end_line)
