"""A file that fails made as small as it fails alike: statements, branches, arguments, names."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from programs import tree
from programs.expressions import Expr, num
from programs.layers import Illegal
from programs.meaning import run_network
from programs.values import State, bind_formals, is_reserved
from programs.values import evaluate as evaluate_value


def reduce(
    program: tree.Program,
    fails: Callable[[tree.Program], bool],
    seconds: float = 60,
) -> tree.Program:
    """The smallest program found that fails and that is one of the smaller ones of the last.

    ``fails`` says whether a program fails as the first one does; illegal ones do not.
    """
    end = time.monotonic() + seconds
    tried: set[str] = set()
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for candidate in _candidates(program):
            if time.monotonic() > end:
                return program
            fixed = _repair(candidate)
            text = str(fixed)
            if fixed is None or text in tried or len(text) > len(str(program)) + 2:
                continue
            tried.add(text)
            if text != str(program) and fails(fixed):
                program, is_smaller = fixed, True
                break
    return program


def _candidates(program: tree.Program) -> Iterator[tree.Program]:
    for items in _without(program.items):
        yield tree.Program(items)
    yield from _without_formals(program)
    yield from _without_family(program)
    for index, item in enumerate(program.items):
        for smaller in _smaller(item):
            yield tree.Program((*program.items[:index], smaller, *program.items[index + 1 :]))
    yield from _renamed(program)


def _without(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The items without some of them: large pieces first."""
    size = len(items)
    while size:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2


# ── Within a tree ────────────────────────────────────────────────────────────────────────────


def _smaller(node: Any) -> Iterator[Any]:
    """The node with one thing less or one thing simpler."""
    match node:
        case Expr():
            yield from _simpler(node)
            return
        case tree.If():
            if node.otherwise is not None:
                yield replace(node, otherwise=None)
        case tree.Block(is_phrase=True):
            yield replace(node, is_phrase=False)
        case tree.Given():
            yield tree.Layer("tanh")
        case tree.For(values=tree.Range(start=start, stop=stop)):
            if start != num(0):
                yield replace(node, values=tree.Range(num(0), stop))
            yield replace(node, values=Expr("list", (num(1), num(2))))
        case tree.Layer():
            if node.word not in ("tanh", "id"):
                yield tree.Layer("tanh")
            if node.word not in ("conv", "tanh"):
                yield tree.Layer("conv", (num(1), num(2)))
    if not dataclasses.is_dataclass(node):
        return
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        for smaller in _smaller_value(value):
            try:
                yield replace(node, **{field.name: smaller})
            except TypeError:
                continue
        if value is not None and field.default is None:
            yield replace(node, **{field.name: None})


def _smaller_value(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple) and value and all(map(dataclasses.is_dataclass, value)):
        yield from _without(value)
        for index, item in enumerate(value):
            for body in _spliced(item):
                yield (*value[:index], *body, *value[index + 1 :])
        for index, item in enumerate(value):
            for smaller in _smaller(item):
                yield (*value[:index], smaller, *value[index + 1 :])
    elif isinstance(value, tuple) and value and all(isinstance(v, tuple) for v in value):
        yield from _without(value)  # branches, or settings
        for index, item in enumerate(value):
            for smaller in _smaller_value(item):
                yield (*value[:index], smaller, *value[index + 1 :])
    elif dataclasses.is_dataclass(value):
        yield from _smaller(value)


def _spliced(item: Any) -> Iterator[tuple[Any, ...]]:
    """What stands inside a statement, in place of the statement."""
    match item:
        case tree.If():
            yield item.then
            match item.otherwise:
                case tree.If():
                    yield (item.otherwise,)
                case tuple():
                    yield item.otherwise
        case tree.For(name=name, body=body):
            for value in (1, 2):
                yield tuple(_with_value(inner, {name: value}) for inner in body)
        case tree.Step(atoms=atoms):
            for atom in atoms:
                match atom:
                    case tree.Group(body=body) | tree.Head(body=body):
                        yield body
                    case tree.Merge(branches=branches):
                        yield from branches


def _with_value(node: Any, values: Mapping[str, Any]) -> Any:
    """A tree with numbers in place of names."""

    def put(inner: Any) -> Any:
        is_value = isinstance(inner, Expr) and inner.op == "name" and inner.args[0] in values
        return num(values[inner.args[0]]) if is_value else inner

    return _map(node, put)


def _simpler(expr: Expr) -> Iterator[Expr]:
    if expr.op == "word":
        return
    if expr.op == "layer":
        if expr.args[0] != tree.Layer("tanh"):
            yield Expr("layer", (tree.Layer("tanh"),))
        return
    if expr.op == "list":
        yield from (Expr("list", items) for items in _without(expr.args))
    if expr.op == "[]":
        yield num(1)
        return
    if expr.op == "num":
        value = expr.args[0]
        plain: list[Any] = {int: [1, 2, 3], float: [1, 0.5], tuple: [3, 1]}.get(type(value), [])
        if isinstance(value, tuple) and len(value) == 3:
            plain = [(8, 8, value[2]), (*value[:2], 4), (4, 4, value[2]), (*value[:2], 2)]
        elif (type(value) is int and value in plain) or (type(value) is float and value in plain):
            plain = plain[: plain.index(value)]
        yield from (num(simple) for simple in plain)
        return
    if expr.op == "name":
        if expr.args[0] not in ("C", "H", "W"):
            yield from (num(simple) for simple in (1, 2, True, False))
        return
    yield from (arg for arg in expr.args if isinstance(arg, Expr))
    yield from (num(simple) for simple in (True, False, 1, 2))
    for index, arg in enumerate(expr.args):
        for smaller in _simpler(arg):  # type: ignore[arg-type]
            yield Expr(expr.op, (*expr.args[:index], smaller, *expr.args[index + 1 :]))


# ── Over the whole file ──────────────────────────────────────────────────────────────────────


def _map(node: Any, change: Callable[[Any], Any]) -> Any:
    """The tree with each node changed, inner before outer."""
    if isinstance(node, tuple):
        return tuple(_map(item, change) for item in node)
    if not dataclasses.is_dataclass(node):
        return node
    fields = {f.name: _map(getattr(node, f.name), change) for f in dataclasses.fields(node)}
    return change(replace(node, **fields))  # type: ignore[type-var]


def _without_formals(program: tree.Program) -> Iterator[tree.Program]:
    """A parameter less: a number in its place, and no argument for it in any call."""
    for item in program.items:
        if not isinstance(item, (tree.Block, tree.Network)):
            continue
        for index, formal in enumerate(item.formals):
            for value in (1, 2, 3, True, False, 0.5):
                yield _without_formal(program, item, index, formal, value)
            if formal.default is not None:
                formals = list(item.formals)
                formals[index] = replace(formal, default=None)
                changed = replace(item, formals=tuple(formals))
                yield tree.Program(tuple(changed if i is item else i for i in program.items))


def _without_formal(
    program: tree.Program, item: Any, index: int, formal: tree.Formal, value: Any
) -> tree.Program:
    gone = {formal.name, formal.pair}
    formals = tuple(f for f in item.formals if f is not formal)

    def put(node: Any) -> Any:
        is_gone = isinstance(node, Expr) and node.op == "name" and node.args[0] in gone
        return num(value) if is_gone else node

    def call(node: Any) -> Any:
        is_call = isinstance(node, tree.Call) and node.block == item.name
        if not is_call and not (isinstance(node, tree.Member) and node.family == item.name):
            return node
        kept = [
            arg
            for place, arg in enumerate(node.args)
            if (arg.keyword != formal.name if arg.keyword else place != index)
        ]
        return replace(node, args=tuple(kept))

    changed = replace(_map(replace(item, formals=()), put), formals=_map(formals, put))
    items = tuple(changed if i is item else i for i in program.items)
    return tree.Program(tuple(_map(i, call) for i in items))


def _without_family(program: tree.Program) -> Iterator[tree.Program]:
    """One member in place of a family and all its members."""
    for family in program.items:
        if not isinstance(family, tree.Network) or not family.formals:
            continue
        members = [
            i for i in program.items if isinstance(i, tree.Member) and i.family == family.name
        ]
        for member in members:
            try:
                bound = bind_formals(family.formals, member.args, State(0, ()), {}, {}, False)
            except Illegal:
                continue
            plain = _with_value(replace(family, formals=()), bound.values)
            kept = [plain if i is family else i for i in program.items if i not in members]
            yield tree.Program(tuple(kept))


def _renamed(program: tree.Program) -> Iterator[tree.Program]:
    """With a plain name in place of a strange one."""
    words = names_in(program)
    plain = [word for word in "abcdeghijklmnopqr" if word not in words]
    networks = [f"Net{letter}" for letter in "ABCDEF"]
    owners = {i.name for i in program.items if isinstance(i, (tree.Network, tree.Member))}
    blocks = {i.name for i in program.items if isinstance(i, tree.Block)}
    for word in sorted(words):
        if len(word) == 1 or word in networks or word in [f"block_{letter}" for letter in "abc"]:
            continue
        pool = networks if word in owners else plain
        if word in blocks:
            pool = [f"block_{letter}" for letter in "abc"]
        new = next((n for n in pool if n not in words), None)
        if new is not None and not is_reserved(word):
            yield _map(program, lambda node, word=word, new=new: _rename(node, word, new))


def names_in(program: tree.Program) -> set[str]:
    """All names that a program gives or uses."""
    words: set[str] = set()

    def collect(node: Any) -> Any:
        words.update(_names_of(node))
        return node

    _map(program, collect)
    return words


def _names_of(node: Any) -> Iterator[str]:
    match node:
        case Expr(op="name", args=(str() as word,)) if word not in ("C", "H", "W"):
            yield word
        case tree.Step(label=str() as label) | tree.For(label=str() as label):
            yield label
        case Expr(op="word", args=(str() as word,)) | Expr(op="[]", args=(str() as word, _)):
            yield word
        case tree.Recall(part=word) | tree.Crop(part=word) | tree.Reuse(part=word):
            yield word
        case tree.Let(name=word):
            yield word
        case tree.For(name=word) | tree.Given(word=word):
            yield word
        case tree.Formal(name=word, pair=pair):
            yield word
            if pair:
                yield pair
        case tree.Block(name=word) | tree.Network(name=word) | tree.Member(name=word):
            yield word


def _rename(node: Any, word: str, new: str) -> Any:
    if isinstance(node, Expr):
        is_named = node.op in ("name", "word", "[]") and node.args[0] == word
        return Expr(node.op, (new, *node.args[1:])) if is_named else node
    if isinstance(node, (tree.Layer, tree.Merge, tree.Init)):
        return node
    changes = {
        field.name: new
        for field in dataclasses.fields(node)
        if getattr(node, field.name) == word and field.name != "comment"
    }
    return replace(node, **changes) if changes else node


def _repair(program: tree.Program) -> tree.Program | None:
    """The program with outputs that are the volumes that its networks end in."""
    blocks = {item.name: item for item in program.items if isinstance(item, tree.Block)}
    values: dict[str, Any] = {}
    items = list(program.items)
    try:
        for item in program.items:
            if isinstance(item, tree.Let):
                values[item.name] = evaluate_value(item.value, State(0, (), values))
        for index, item in enumerate(program.items):
            if not isinstance(item, tree.Network):
                continue
            calls = [i.args for i in items if isinstance(i, tree.Member) and i.family == item.name]
            if all(formal.default for formal in item.formals):
                calls.append(())
            ends = {run_network(item, "", c, blocks, values, False).end.volume for c in calls}
            if len(ends) == 1:
                (end,) = ends
                items[index] = replace(item, output=num(end if len(end) == 3 else end[0]))
    except (Illegal, AssertionError, AttributeError, KeyError):
        return None
    return tree.Program(tuple(items))
