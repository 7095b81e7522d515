"""Faults of words: misspelt, defined twice, used before they exist, or not at all."""

from __future__ import annotations

from itertools import pairwise

from archdsl.layers import REGISTRY
from archdsl.text import syntax
from archdsl.text.source import Span

from .fault import Change, Changes, fault, swapped
from .spec import Spec


@fault("unknown-word", fixable=True)
def layer_misspelt(spec: Spec) -> Changes:
    """a layer is misspelt"""
    for written in spec.layers:
        if len(written.layer) > 3:
            yield Change(written.name.span, swapped(written.layer))


@fault("unknown-word", fixable=True)
def layer_of_another_tool(spec: Spec) -> Changes:
    """a layer is called as another tool calls it"""
    others = {"conv": "Conv2D", "fc": "Dense", "maxpool": "MaxPooling2D", "bn": "BatchNorm"}
    for written in spec.layers:
        if written.layer in others:
            yield Change(written.name.span, others[written.layer])


@fault("unknown-word", fixable=True)
def flag_misspelt(spec: Spec) -> Changes:
    """a flag is misspelt"""
    for written in spec.layers:
        for atom in written.arguments:
            if isinstance(atom, syntax.Name) and atom.id in ("same", "ceil", "nobias"):
                yield Change(atom.span, swapped(atom.id))


@fault("unknown-attribute", fixable=True)
def attribute_misspelt(spec: Spec) -> Changes:
    """an attribute is misspelt"""
    for written in spec.layers:
        for atom in written.arguments:
            match atom:
                case syntax.Named(name=name) if len(name.id) > 2:
                    yield Change(name.span, swapped(name.id))
                case syntax.Flag(letter="s", sizes=sizes):
                    yield Change(atom.span, f"strdie={sizes[0]}")
                case syntax.Flag(letter="p", sizes=sizes):
                    yield Change(atom.span, f"paddign={sizes[0]}")


@fault("unknown-attribute")
def attribute_of_another_layer(spec: Spec) -> Changes:
    """an attribute that the layer does not have"""
    for written in spec.layers:
        if written.layer in ("relu", "tanh", "fc", "gap", "lrn"):
            yield Change(written.span.after, " s2")


@fault("unknown-attribute")
def flag_of_another_layer(spec: Spec) -> Changes:
    """a flag that the layer does not have"""
    for written in spec.layers:
        if written.layer in ("relu", "tanh", "fc", "lrn", "dropout"):
            yield Change(written.span.after, " same")


@fault("unknown-word", fixable=True)
def block_misspelt(spec: Spec) -> Changes:
    """a block is misspelt in a call"""
    for call in spec.calls:
        yield Change(call.name.span, swapped(call.name.id))


@fault("undefined-name", fixable=True)
def family_misspelt(spec: Spec) -> Changes:
    """a family is misspelt by one of its members"""
    for instance in spec.items(syntax.Instance):
        yield Change(instance.call.name.span, swapped(instance.call.name.id + "s"))


@fault("unknown-attribute", fixable=True)
def parameter_misspelt(spec: Spec) -> Changes:
    """a parameter is misspelt in a call"""
    for call in (*spec.calls, *(i.call for i in spec.items(syntax.Instance))):
        for argument in call.arguments:
            if argument.keyword and len(argument.keyword.id) > 2:
                yield Change(argument.keyword.span, swapped(argument.keyword.id))


@fault("unknown-word", "undefined-name", fixable=True)
def value_misspelt(spec: Spec) -> Changes:
    """the name of a value is misspelt"""
    for item in spec.program.items:
        if not isinstance(item, (syntax.Block, syntax.Network)):
            continue
        formals = {n.id for f in item.formals for n in (f.name, f.pair) if n and len(n.id) > 1}
        for written in spec.layers:
            for atom in written.arguments:
                if isinstance(atom, syntax.Name) and atom.id in formals:
                    yield Change(atom.span, atom.id + atom.id[-1])


@fault("unknown-metric", fixable=True)
def metric_misspelt(spec: Spec) -> Changes:
    """the quantity of a claim is misspelt"""
    for expect in spec.expects:
        yield Change(expect.metric.span, swapped(expect.metric.id))


@fault("unknown-word", "unknown-attribute", fixable=True)
def recipe_misspelt(spec: Spec) -> Changes:
    """a word of the recipe is misspelt"""
    for recipe in spec.recipes:
        for word in ("schedule", "plateau", "momentum", "weight_decay", "random_crop", "factor"):
            start = spec.text.find(word, recipe.span.start, recipe.span.end)
            if start >= 0:
                yield Change(Span(spec.source, start, start + len(word)), swapped(word))


@fault("unreadable-file")
def used_file_missing(spec: Spec) -> Changes:
    """a used file that does not exist"""
    for use in spec.items(syntax.Use):
        yield Change(use.span, '"nowhere.arch"')


@fault("undefined-name", "unknown-word")
def part_before_it_exists(spec: Spec) -> Changes:
    """a part is referred to before it exists"""
    for body in spec.trunks:
        steps = [s for s in body.chains[0].statements if isinstance(s, syntax.Step)]
        for first, later in pairwise(steps):
            label = later.label
            if label and label.id not in REGISTRY:
                start = first.span.start
                yield Change(Span(spec.source, start, start), f"{label.id}; ")


@fault("repeated-name")
def part_named_twice(spec: Spec) -> Changes:
    """a part is named as an earlier one"""
    for body in spec.trunks:
        steps = [s for s in body.chains[0].statements if isinstance(s, syntax.Step)]
        labels = [step.label for step in steps if step.label]
        for first, second in pairwise(labels):
            yield Change(second.span, first.id)


@fault("reserved-word")
def part_named_as_a_flag(spec: Spec) -> Changes:
    """a part has the name of a flag"""
    for step in spec.steps:
        if step.label:
            yield Change(step.label.span, "same")


@fault("repeated-name")
def network_defined_twice(spec: Spec) -> Changes:
    """a network is defined twice"""
    items = (*spec.items(syntax.Network), *spec.items(syntax.Instance))
    for item in items:
        assert isinstance(item, (syntax.Network, syntax.Instance))
        end = Span(spec.source, len(spec.text), len(spec.text))
        text = f"network {item.name.id}: 8x8x3 → 8x8x3 {{ relu }}\n"
        yield Change(end, text, len(spec.text.splitlines()) + 1)


@fault("repeated-name")
def block_defined_twice(spec: Spec) -> Changes:
    """a block is defined twice"""
    for block in spec.items(syntax.Block):
        assert isinstance(block, syntax.Block)
        end = Span(spec.source, len(spec.text), len(spec.text))
        text = f"block {block.name.id}() {{ relu }}\n"
        yield Change(end, text, len(spec.text.splitlines()) + 1)


@fault("unknown-word")
def block_without_parentheses(spec: Spec) -> Changes:
    """a block is called without parentheses"""
    for call in spec.calls:
        yield Change(call.span, call.name.id)


@fault("unknown-word", "unexpected-word", "misplaced-argument")
def colon_missing(spec: Spec) -> Changes:
    """no colon behind the name of a part"""
    for step in spec.steps:
        if step.label:
            colon = spec.text.index(":", step.label.span.end)
            yield Change(Span(spec.source, colon, colon + 1), "")
