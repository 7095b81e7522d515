"""What is in a file: a generator whose programs are all alike would show here."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from programs import tree
from programs.expressions import Expr, name
from programs.meaning import Meaning

_VOLUME = {"C", "H", "W"}
#: Names that methods and modules of generated code have themselves.
_OF_CODE = set("x y z u v w copy self torch nn np heads x_ y_ z_ forward training".split())


@dataclass(frozen=True)
class _Place:
    """What is around a statement."""

    owner: str
    forks: int = 0
    conds: int = 0
    groups: int = 0
    repeats: int = 0
    in_copies: bool = False


def features_of(program: tree.Program, meanings: list[Meaning]) -> Counter[str]:
    """How often each feature occurs in a file."""
    found: Counter[str] = Counter()
    families = {i.name: i for i in program.items if isinstance(i, tree.Network) and i.formals}
    members = [i for i in program.items if isinstance(i, tree.Member)]
    found["networks, several"] = len(meanings) > 1
    found["family"] = bool(families)
    found["family, several members"] = len(members) > 1
    found["init of a member"] = any(member.body for member in members)
    for item in program.items:
        match item:
            case tree.Let():
                found["let of a file"] += 1
            case tree.Block():
                found["phrase" if item.is_phrase else "block"] += 1
                _formals(item.formals, found)
                if len(item.body) == 1 and isinstance(item.body[0], tree.If):
                    found["block, empty for some"] += item.body[0].otherwise is None
                _walk(item.body, _Place("block"), found)
            case tree.Network():
                if item.formals:
                    _formals(item.formals, found)
                found["inputs, several"] += len(item.inputs) > 1
                found["outputs, named"] += bool(item.outputs)
                _walk(item.body, _Place("family" if item.formals else "network"), found)
        found["comment"] += bool(getattr(item, "comment", None))
    _names(program, found)
    _shared(program, meanings, found)
    nodes = [node for meaning in meanings for node in meaning.machine.nodes]
    found["layers"] = len(nodes) - len(meanings)
    found["vector input"] = sum(len(m.machine.nodes[0].volume) == 1 for m in meanings)
    for node in nodes:
        if node.word in ("bn", "dropout", "droppath"):
            found[node.word] += 1
        if node.args.get("padding") == "same":
            kernel = node.args.get("kernel_size", (1, 1))
            found["same, even kernel"] += any(size % 2 == 0 for size in kernel)
            found["same, stride"] += node.args.get("stride", (1, 1)) not in ((1, 1), None)
    return +found


def _formals(formals: tuple[tree.Formal, ...], found: Counter[str]) -> None:
    before: set[str] = set()
    is_after_default = False
    for formal in formals:
        found[f"parameter: {formal.kind}"] += formal.kind is not None
        found["pair"] += formal.pair is not None
        if formal.default is not None:
            found["default"] += 1
            words = set(_words(formal.default))
            found["default of parameters"] += bool(words & before)
            found["default of the volume"] += bool(words & _VOLUME)
            is_after_default = True
        else:
            found["default before a required"] += is_after_default
        before |= {formal.name, formal.pair or ""}


def _words(expr: Any) -> Iterator[str]:
    if isinstance(expr, Expr):
        if expr.op == "name":
            yield str(expr.args[0])
        for arg in expr.args:
            yield from _words(arg)


def _ops(expr: Any) -> Iterator[str]:
    if isinstance(expr, Expr):
        yield expr.op
        for arg in expr.args:
            yield from _ops(arg)


def _expression(expr: Expr, found: Counter[str]) -> None:
    for op in _ops(expr):
        if op not in ("num", "name"):
            found[f"operator {op}"] += 1


def _walk(body: tree.Body, place: _Place, found: Counter[str]) -> None:
    seen_if = False
    for statement in body:
        match statement:
            case tree.Let():
                found["let"] += 1
                found["let of C"] += statement.value == name("C")
                found["let behind if"] += seen_if
                _expression(statement.value, found)
            case tree.InitAll():
                found["init of a network"] += 1
            case tree.If():
                seen_if = True
                _cond(statement, place, found)
            case tree.For():
                _for(statement, place, found)
            case tree.Step():
                _step(statement, place, found)


def _for(loop: tree.For, place: _Place, found: Counter[str]) -> None:
    found["for"] += 1
    found["for, named"] += loop.label is not None
    found["for, nested"] += place.repeats > 0
    found["for in a block"] += place.owner == "block"
    if isinstance(loop.values, tree.Range):
        found["for over a range of a name"] += bool(set(_words(loop.values.stop)))
        _expression(loop.values.stop, found)
    else:
        found["for over a list"] += 1
        found["for over a list of a name"] += loop.values.op == "name"
        _expression(loop.values, found)
    _label(loop.label, found)
    copies = place.in_copies or loop.label is not None
    inside = _Place(**{**vars(place), "repeats": place.repeats + 1, "in_copies": copies})
    _walk(loop.body, inside, found)


def _label(label: object, found: Counter[str]) -> None:
    if isinstance(label, tree.Quoted):
        found["name in quotes"] += 1
        found["name in quotes with a value"] += bool(label.values)


def _cond(cond: tree.If, place: _Place, found: Counter[str]) -> None:
    words = set(_words(cond.test))
    found["condition"] += 1
    found["condition on C"] += "C" in words
    found["condition on H or W"] += bool(words & {"H", "W"})
    found["condition on a name"] += bool(words - _VOLUME)
    found["condition of a family"] += place.owner == "family" and bool(words - _VOLUME)
    found["condition, nested"] += place.conds > 0
    found["condition in a branch"] += place.forks > 0
    found["condition in copies"] += place.repeats > 0
    _expression(cond.test, found)
    inside = _Place(**{**vars(place), "conds": place.conds + 1})
    _walk(cond.then, inside, found)
    match cond.otherwise:
        case tree.If():
            found["else if"] += 1
            _cond(cond.otherwise, place, found)
        case tuple():
            found["else"] += 1
            _walk(cond.otherwise, inside, found)


def _step(step: tree.Step, place: _Place, found: Counter[str]) -> None:
    first = step.atoms[0]
    found["comment"] += bool(step.comment)
    found["claim"] += step.claim is not None
    _label(step.label, found)
    is_group = isinstance(first, tree.Group)
    found["named group, nested"] += is_group and bool(step.label) and place.groups > 0
    found["layer's own name"] += isinstance(first, tree.Layer) and step.label == first.word
    is_repeated = step.repeat is not None
    if is_repeated:
        assert step.repeat is not None
        found["repeat"] += 1
        found["repeat with reference"] += bool(set(_words(step.repeat)))
        found["repeat, nested"] += place.repeats > 0
        found["repeat, named"] += bool(step.label)
        _expression(step.repeat, found)
    groups = place.groups + (is_group and bool(step.label))
    copies = place.in_copies or (is_repeated and bool(step.label))
    around = {**vars(place), "groups": groups, "in_copies": copies}
    around["repeats"] = place.repeats + is_repeated
    inside = _Place(**around)
    for atom in step.atoms:
        _atom(atom, inside, found)


def _atom(atom: tree.Atom, place: _Place, found: Counter[str]) -> None:
    match atom:
        case tree.Merge():
            found[f"merge {atom.word}"] += 1
            found["merge depth 2"] += place.forks == 1
            found["merge depth 3"] += place.forks == 2
            found["merge depth 4"] += place.forks == 3
            inner = _Place(**{**vars(place), "forks": place.forks + 1})
            for branch in atom.branches:
                _walk(branch, inner, found)
        case tree.Group():
            _walk(atom.body, place, found)
        case tree.Head():
            found["head"] += 1
            _walk(atom.body, place, found)
        case tree.Crop() | tree.Recall():
            found["crop" if isinstance(atom, tree.Crop) else "reference"] += 1
            found["reference in copies that are named"] += place.in_copies
        case tree.Reuse():
            found["reuse"] += 1
            found["reuse in a block"] += place.owner == "block"
            found["reuse in a branch"] += place.forks > 0
        case tree.Given():
            found["layer that was given"] += 1
        case tree.Call():
            found["call"] += 1
            found["call in a block"] += place.owner == "block"
            found["call in a branch"] += place.forks > 0
            found["argument by name"] += any(arg.keyword for arg in atom.args)
            for arg in atom.args:
                _expression(arg.value, found)
        case tree.Layer():
            _layer(atom, place, found)


def _layer(layer: tree.Layer, place: _Place, found: Counter[str]) -> None:
    found["fc in a block"] += layer.word == "fc" and place.owner == "block"
    found[f"layer {layer.word}"] += 1
    for arg in layer.args:
        _expression(arg, found)
        found["argument that is a name"] += arg.op == "name"
    for key, value in layer.settings:
        found["nobias"] += key == "nobias"
        found["bias of a name"] += key == "bias" and isinstance(value, Expr) and value.op == "name"
        found["init of a layer"] += key == "init"


def _names(program: tree.Program, found: Counter[str]) -> None:
    from programs.reduce import names_in

    words = names_in(program)
    found["name of Python"] = sum(map(keyword.iskeyword, words))
    found["name of generated code"] = len(words & _OF_CODE)
    alike = Counter(word.lower().replace("_", "") for word in words)
    found["names alike but for case and _"] = sum(count > 1 for count in alike.values())


def _shared(program: tree.Program, meanings: list[Meaning], found: Counter[str]) -> None:
    """Blocks that networks of several input sizes call."""
    users: dict[str, set[Any]] = {}
    for item in program.items:
        if isinstance(item, tree.Network):
            for call in _calls(item.body):
                users.setdefault(call, set()).add(str(item.input))
    found["block at several sizes"] = sum(len(sizes) > 1 for sizes in users.values())


def _calls(node: Any) -> Iterator[str]:
    if isinstance(node, tree.Call):
        yield node.block
    if isinstance(node, tuple):
        for item in node:
            yield from _calls(item)
    elif hasattr(node, "__dataclass_fields__"):
        for key in node.__dataclass_fields__:
            yield from _calls(getattr(node, key))
