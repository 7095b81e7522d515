"""The ``__init__`` of a class: modules in execution order, with the volumes behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archdsl.codegen.classes import Class, Classes, Use, applies_of
from archdsl.codegen.layout import (
    Bracketed,
    Comprehension,
    Doc,
    Item,
    Text,
    bracketed,
    fits_inside,
    flat,
)
from archdsl.codegen.parameters import Expressions
from archdsl.layers import Arg, Call
from archdsl.layers.call import Code, Product, Value
from archdsl.modules import Apply, Flattening, Instance, Leaf, Sequence
from archdsl.modules import Item as Planned

#: How many copies become a comprehension, and how many lines they must take otherwise.
LONG_REPEAT = 3
LONG_LINES = 12


def literal(value: Value) -> str:
    """A value as Python writes it, strings in double quotes."""
    match value:
        case Code():
            return str(value)
        case Product():
            return " * ".join(map(str, value.factors))
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case float() if value in (float("inf"), float("-inf")):
            return f'float("{value}")'
        case float():
            return _number(value)
        case _:
            return repr(value)


def _number(value: float) -> str:
    """A float as ruff formats it: ``1e-5``."""
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    return f"{mantissa}e{int(exponent)}"


class Constructor:
    """Writes the modules of one class."""

    def __init__(self, cls: Class, expressions: Expressions, classes: Classes) -> None:
        self.use: Use = cls.uses[0]
        self.expressions = expressions
        self.classes = classes
        # Volumes are worth a comment only where they are the same for every use.
        self.has_volumes = len(cls.uses) == 1

    def attributes(self) -> Iterator[tuple[str, Doc, str]]:
        """Name, expression and comment of each attribute."""
        for apply in applies_of(self.use.plan.steps):
            doc = self._module_list(apply) if apply.each else self.item(apply.item)
            comment = self._volume_comment(apply.output) if self._is_news(apply) else ""
            yield apply.attribute, *_with_one_comment(doc, comment)

    def row(self, items: tuple[Planned, ...]) -> list[Item]:
        """The items of a ``nn.Sequential``, long repeats as a comprehension."""
        written = [Item(self.item(item), comment=self._comment(item)) for item in items]
        return list(_with_repeats(written))

    def item(self, item: Planned) -> Doc:
        match item:
            case Leaf(node=node):
                expressions = iter(self.expressions.of_leaf.get(node, []))
                return call_doc(self.use.call_of(item), expressions)
            case Flattening():
                return Text("nn.Flatten()")
            case Sequence(items=items):
                return bracketed("nn.Sequential(", self.row(items))
            case Instance(plan=plan):
                return self._instance(item, id(plan))

    def _instance(self, item: Instance, key: int) -> Doc:
        expressions = self.expressions.of_instance.get(key, [])
        given = self.classes.arguments(item.plan)
        values = expressions or [None] * len(given)
        docs = []
        for expression, (parameter, value) in zip(values, given, strict=True):
            prefix = "" if parameter.default is None else f"{parameter.name}="
            if expression or not prefix or value != parameter.default:
                docs.append(Item(Text(expression or literal(value)), prefix))
        return bracketed(f"{self.classes.of(item.plan).name}(", docs)

    def _module_list(self, apply: Apply) -> Doc:
        assert isinstance(apply.item, Sequence)
        return bracketed("nn.ModuleList(", [Item(bracketed("[", self.row(apply.item.items), "]"))])

    # ── Comments ─────────────────────────────────────────────────────────────────────────────

    def _comment(self, item: Planned) -> str:
        """The volume after an item of a row, where the item has a hand in it."""
        match item:
            case Leaf(node=id):
                node = self.use.node(id)
                before = self.use.node(node.inputs[0]).volume
                is_news = node.volume != before or node.layer.has_weights
                return self._volume_comment(id) if is_news else ""
            case Instance(plan=plan):
                return self._volume_comment(plan.output)
            case _:
                return ""

    def _is_news(self, apply: Apply) -> bool:
        """Whether a volume is worth a comment: a layer that leaves it as it was has none."""
        if not isinstance(apply.item, Leaf):
            return True
        node = self.use.node(apply.item.node)
        return node.volume != self.use.node(node.inputs[0]).volume or node.layer.has_weights

    def _volume_comment(self, node: int) -> str:
        volume = self.use.node(node).volume
        # A vector's length stands in the call itself.
        if not self.has_volumes or volume.is_vector:
            return ""
        return "×".join(map(str, volume.torch_sizes))


def _with_one_comment(doc: Doc, comment: str) -> tuple[Doc, str]:
    """Volumes behind the items of a long row; behind one that fits on a line, the last alone."""
    if not isinstance(doc, Bracketed) or not any(item.comment for item in doc.items):
        return doc, comment
    quiet = Bracketed(doc.opening, tuple(replace(item, comment="") for item in doc.items))
    if fits_inside(quiet, 3):
        return quiet, comment
    return doc, ""


def call_doc(call: Call, expressions: Iterator[str | None]) -> Bracketed:
    """A call with the literals replaced by expressions where they differ between uses."""
    items = []
    for arg in call.args:
        if isinstance(arg.value, Call):
            prefix = f"{arg.keyword}=" if arg.keyword else ""
            items.append(Item(call_doc(arg.value, expressions), prefix))
            continue
        expression = next(expressions, None)
        if expression is None and arg.default is not None and arg.value == arg.default:
            continue
        items.append(_argument(arg, expression))
    return bracketed(f"{call.callee}(", items)


def _argument(arg: Arg, expression: str | None) -> Item:
    assert not isinstance(arg.value, Call)
    prefix = f"{arg.keyword}=" if arg.keyword else ""
    return Item(Text(expression or literal(arg.value)), prefix)


def _with_repeats(items: list[Item]) -> Iterator[Item]:
    """The items, with runs that repeat often enough as ``*(… for _ in range(n))``."""
    texts = [flat(item.doc) + item.comment for item in items]
    index = 0
    while index < len(items):
        period, copies = _repeat_at(texts, index)
        if copies < LONG_REPEAT:
            yield items[index]
            index += 1
            continue
        last = index + period * copies
        comments = [item.comment for item in items[index:last] if item.comment]
        yield Item(
            _comprehension([item.doc for item in items[index : index + period]], copies),
            comment=comments[-1] if comments else "",
        )
        index = last


def _repeat_at(texts: list[str], start: int) -> tuple[int, int]:
    """The period and the number of copies of the repeat that begins at an index."""
    best = (1, 1)
    for period in range(1, min(8, len(texts) - start) + 1):
        copies = 1
        first = texts[start : start + period]
        while texts[start + copies * period : start + (copies + 1) * period] == first:
            copies += 1
        is_long = copies >= LONG_REPEAT and (period == 1 or copies * period >= LONG_LINES)
        if is_long and copies * period > best[0] * best[1]:
            best = (period, copies)
    return best


def _comprehension(docs: list[Doc], copies: int) -> Doc:
    count = Item(Text(f"_ in range({copies})"), "for ")
    if len(docs) == 1:
        return Comprehension("*(", docs[0], (count,), ")")
    layers = bracketed("(", [Item(doc) for doc in docs])
    return Comprehension("*(", Text("layer"), (count, Item(layers, "for layer in ")), ")")
