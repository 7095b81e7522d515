"""A whole file from a seed: values, blocks, networks, families with members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from types import MappingProxyType
from typing import Any

from programs import names
from programs.expressions import Expr, name, num
from programs.grow import EFFORT, Grower
from programs.layers import Illegal, Volume
from programs.machine import Machine
from programs.meaning import Meaning, run
from programs.places import Place, Signature, Taste, World
from programs.sampling import Sampler
from programs.tree import (
    Argument,
    Block,
    Body,
    Formal,
    If,
    InitAll,
    Item,
    Layer,
    Let,
    Member,
    Network,
    Program,
    Step,
)
from programs.values import State, bind_formals, evaluate, is_reserved

#: Kinds of parameters, and how often.
KINDS = {"int": 5, "bool": 4, "float": 2, "kernel": 2, "stride": 1.5, "pair": 1.5, "count": 1}
KINDS |= {"list": 3, "layer": 1.5, "unit": 4, "part": 1.2}
#: What the language calls kinds of parameters that are no values.
WORD_KINDS = {"layer": "layer", "unit": "block", "part": "part"}


_NO_PARTS: Mapping[str, Any] = MappingProxyType({})


def generate(seed: int) -> tuple[Program, list[Meaning]]:
    """A legal file, and what it means."""
    return _File(Random(f"programs {seed}")).grow()


@dataclass
class _File:
    rng: Random
    values: dict[str, Any] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def grow(self) -> tuple[Program, list[Meaning]]:
        self.grower = Grower(self.rng, Taste.of(self.rng))
        lets = [self._value() for _ in range(self.rng.choice([0, 0, 0, 1, 2]))]
        for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3, 4])):
            self._block()
        items: list[Item] = list(self.blocks.values())
        for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
            items += self._family() if self.rng.random() < 0.3 else self._network()
        if self.rng.random() < 0.2:
            self.rng.shuffle(items)
        program = self._with_claims(Program((*lets, *items)))
        return program, run(program)

    def _value(self) -> Let:
        word = self._name(names.VALUES, set(self.values))
        listed = Expr("list", tuple(num(self.rng.randint(1, 4)) for _ in range(3)))
        plain = [num(4), num(2), num(True), num(0.5), num((3, 3)), num(False)]
        value = self.rng.choice([*plain, listed, listed])
        if self.values and self.rng.random() < 0.4:
            first = next(iter(self.values))
            value = Expr("==", (name(first), num(2)))
        self.values[word] = evaluate(value, State(0, (), self.values))
        return Let(word, value)

    def _name(self, pool: list[str], taken: set[str]) -> str:
        while is_reserved(word := self.grower.name(pool, taken)) or word in taken:
            pass
        return word

    def _comment(self) -> str | None:
        return self.rng.choice(names.COMMENTS) if self.rng.random() < 0.3 else None

    # ── Parameters ───────────────────────────────────────────────────────────────────────────

    def _formals(
        self, count: int, has_volume: bool, is_unit: bool = False
    ) -> tuple[list[Formal], dict[str, str]]:
        """Parameters; those of a unit let it be called with one number."""
        formals: list[Formal] = []
        kinds: dict[str, str] = {}
        taken = set(self.values)
        for _ in range(count):
            kind = self.rng.choices(list(KINDS), list(KINDS.values()))[0]
            if is_unit:
                kind = "int" if not formals else self.rng.choice(["int", "bool", "list", "layer"])
            if (kind == "part" and not has_volume) or (kind == "unit" and not self.grower.units()):
                continue
            if kind == "float" and self.rng.random() < 0.4:
                kind = "slope"
            word = self._name(names.VALUES, taken)
            taken.add(word)
            pair, default = None, None
            if kind == "pair":
                pair = self._name(names.VALUES, taken)
                taken.add(pair)
                kind = "int"
            elif (
                kind != "part"
                and (is_unit or self.rng.random() < 0.35)
                and (formals or not is_unit)
            ):
                default = self._default(kind, formals, kinds, has_volume)
            kinds[word] = kind
            formals.append(Formal(word, pair, default, WORD_KINDS.get(kind)))
        return formals, kinds

    def _default(
        self, kind: str, formals: list[Formal], kinds: dict[str, str], has_volume: bool
    ) -> Expr:
        """A literal, or an expression over the parameters before, and over the place."""
        if kind in WORD_KINDS:
            inside = _Outside(self.rng, [State(0, (), self.values)])
            found = self.grower.argument(kind, inside)
            assert found is not None
            return found
        earlier = [f.name for f in formals if kinds[f.name] == kind]
        if earlier and self.rng.random() < 0.6:
            first = name(self.rng.choice(earlier))
            if kind != "int":
                return Expr("not", (first,)) if kind == "bool" else first
            return self.rng.choice(
                [first, Expr("+", (first, num(1))), Expr("max", (first, num(2)))]
            )
        if kind == "int" and has_volume and self.rng.random() < 0.3:
            return self.rng.choice(
                [name("C"), Expr("max", (Expr("//", (name("C"), num(2))), num(1)))]
            )
        if kind == "bool" and has_volume and self.rng.random() < 0.3:
            return Expr(self.rng.choice([">", "=="]), (name("C"), num(self.rng.randint(1, 5))))
        return _Outside(self.rng, [State(0, (), self.values)]).of_kind(kind)

    def _arguments(
        self, formals: list[Formal], kinds: dict[str, str], parts: Mapping[str, Any] = _NO_PARTS
    ) -> tuple[Argument, ...]:
        """Arguments for a call from outside of all networks."""
        signature = Signature(Block("", tuple(formals), ()), kinds)
        sample = _Outside(self.rng, [State(0, (), self.values, parts)])
        call = self.grower.call(signature, sample)
        assert call is not None
        return call.args

    # ── Blocks ───────────────────────────────────────────────────────────────────────────────

    def _block(self) -> None:
        word = self._name(names.BLOCKS, self.taken)
        count = self.rng.choice([0, 1, 1, 2, 2, 3, 4])
        formals, kinds = self._formals(count, True, count > 0 and self.rng.random() < 0.4)
        style = self.rng.choices(["keeps", "free", "flattens", "vector"], [6, 3, 1.5, 0.7])[0]
        worlds: list[World] = []
        for _ in range(12):
            volume = self._volume(style == "vector")
            machine = Machine(self.blocks, self.values)
            state = machine.start(volume, self.values)
            other = (*volume[:-1], self.rng.randint(1, 8)) if self.rng.random() < 0.5 else volume
            state = state._replace(parts={"early": (machine.start(other, {}).node, other)})
            try:
                args = self._arguments(formals, kinds, state.parts)
                bound = bind_formals(tuple(formals), args, state, self.values, self.blocks)
            except Illegal:
                continue
            own = frozenset(bound.parts)
            inner = State(state.node, volume, bound.values, bound.parts, own, bound.words)
            worlds.append(World(machine, inner))
            machine.calls.append(word)
            if len(worlds) >= self.rng.choice([2, 3, 3, 4]):
                break
        if not worlds:
            return
        self.grower.effort = EFFORT // 2
        is_phrase = self.rng.random() < 0.25
        has_names = not is_phrase or self.rng.random() < 0.3
        place = Place(
            keeps=style == "keeps", flattens=style == "flattens", depth=1, names=has_names
        )
        body, after = self.grower.chain(
            worlds, place, self.rng.randint(1, 1 + self.grower.taste.length)
        )
        if style == "flattens" and self.rng.random() < 0.7:
            sample = Sampler(self.rng, [world.state for world in after])
            fc = Step((Layer("fc", (sample.integer(1, 6),)),))
            if self.grower.run(after, (fc,), place) is not None:
                body += (fc,)
        if self.rng.random() < 0.12:  # nothing for some arguments
            test = Sampler(self.rng, [world.state for world in worlds]).condition()
            body = (If(test, body),)
        block = Block(word, tuple(formals), body, self._comment(), is_phrase)
        self.taken.add(word)
        self.blocks[word] = block
        self.grower.signatures[word] = Signature(block, kinds)

    def _volume(self, is_vector: bool) -> Volume:
        channels = self.rng.randint(1, 8)
        if is_vector:
            return (channels,)
        height = self.rng.randint(3, 10)
        width = height if self.rng.random() < 0.5 else self.rng.randint(3, 10)
        return (height, width, channels)

    # ── Networks ─────────────────────────────────────────────────────────────────────────────

    def _network(self) -> list[Item]:
        word = self._name(names.NETWORKS, self.taken)
        self.taken.add(word)
        volume = self._volume(self.rng.random() < 0.06)
        machine = Machine(self.blocks, self.values)
        named = self._inputs(volume, self.values)
        worlds = [World(machine, machine.start(volume, self.values, named))]
        body, after = self._trunk(worlds)
        end = after[0].state.volume
        outputs = self._outputs(after)
        if after[0].state.node < max(1, len(named)):  # blocks may have given nothing
            body += (
                Step(
                    (Layer("conv", (num(1), num(2))) if len(end) == 3 else Layer("fc", (num(2),)),)
                ),
            )
            end = (*end[:-1], 2)
        output = num(end) if len(end) == 3 else num(end[0])
        given = num(volume) if len(volume) == 3 else num(volume[0])
        inputs = tuple((label, _sizes(size)) for label, size in named)
        return [Network(word, (), given, output, body, self._comment(), inputs, outputs)]

    def _inputs(self, first: Volume, values: Mapping[str, Any]) -> tuple[tuple[str, Volume], ...]:
        """The inputs with their names, for some networks: one, or several."""
        if self.rng.random() < 0.7:
            return ()
        found: dict[str, Volume] = {}
        for index in range(self.rng.choice([1, 2, 2, 3])):
            label = self._name(names.LABELS, {*values, *found})
            if not is_reserved(label):
                size = first if index == 0 or self.rng.random() < 0.5 else self._volume(False)
                found.setdefault(label, size)
        labels = list(found)
        return (
            ((labels[0], first), *((label, found[label]) for label in labels[1:])) if found else ()
        )

    def _outputs(self, worlds: list[World]) -> tuple[tuple[str, Expr], ...]:
        """The outputs with their names, for some networks whose parts allow it."""
        states = [world.state for world in worlds]
        if self.rng.random() < 0.5 or any(world.machine.heads for world in worlds):
            return ()
        labels = []
        common = set.intersection(*({*state.own} for state in states))
        for label in sorted(word for word in common if not is_reserved(word)):
            parts = [state.parts.get(label) for state in states]
            is_made = all(
                part is not None and world.machine.nodes[part[0]].word != "input"
                for part, world in zip(parts, worlds, strict=True)
            )
            if is_made and len({part[1] for part in parts if part}) == 1:
                labels.append((label, _sizes(parts[0][1])))  # type: ignore[index]
        self.rng.shuffle(labels)
        return tuple(labels[: self.rng.randint(1, 3)])

    def _trunk(self, worlds: list[World]) -> tuple[Body, list[World]]:
        self.grower.effort = EFFORT
        place = Place(is_trunk=True, flattens=self.rng.random() < 0.5)
        body, after = self.grower.chain(
            worlds, place, self.rng.randint(2, 3 + self.grower.taste.length)
        )
        if self.rng.random() < 0.15:
            init = InitAll(Sampler(self.rng, [world.state for world in worlds]).init())
            at = self.rng.randint(0, len(body))
            body = (*body[:at], init, *body[at:])
        return body, after

    def _family(self) -> list[Item]:
        """A family and its members, which run its body in different worlds."""
        word = self._name(names.NETWORKS, self.taken)
        self.taken.add(word)
        formals, kinds = self._formals(self.rng.randint(1, 3), False)
        if not formals:
            return self._network()
        given: Expr = num(self._volume(False))
        if self.rng.random() < 0.2:
            shape = self._name(names.VALUES, {*self.values, *kinds, *_pairs(formals)})
            formals.append(Formal(shape, None, given if self.rng.random() < 0.5 else None))
            kinds[shape] = "shape"
            given = name(shape)
        members: list[Member] = []
        worlds: list[World] = []
        named = self._inputs((1,), {**self.values, **kinds, **dict.fromkeys(_pairs(formals))})
        calls = [self._arguments(formals, kinds) for _ in range(self.rng.randint(2, 4))]
        if all(formal.default for formal in formals):
            calls.append(())
        for index, args in enumerate(calls):
            machine = Machine(self.blocks, self.values)
            try:
                outside = State(0, (), self.values)
                bound = bind_formals(
                    tuple(formals), args, outside, self.values, self.blocks, has_volume=False
                )
            except Illegal:
                continue
            volume = evaluate(given, State(0, (), bound.values))
            try:
                start = machine.start(volume, bound.values, tuple(_with_first(named, volume)))
            except Illegal:
                continue
            worlds.append(World(machine, start._replace(words=bound.words)))
            if args or index < len(calls) - 1:
                member = self._name(names.NETWORKS, self.taken)
                self.taken.add(member)
                own = (InitAll(self._init()),) if self.rng.random() < 0.1 else ()
                members.append(Member(member, word, args, own))
        if not members:
            return self._network()
        body, after = self._trunk(worlds)
        sample = Sampler(self.rng, [world.state for world in after])
        last = self.rng.choice([num(3), *map(name, self._counts(sample, formals))])
        body += (Step((Layer("fc", (last,)),)),)
        inputs = tuple(
            (label, given if index == 0 else _sizes(size))
            for index, (label, size) in enumerate(named)
        )
        outputs = self._outputs(after)
        family = Network(word, tuple(formals), given, last, body, self._comment(), inputs, outputs)
        return [family, *members]

    def _init(self) -> Any:
        return Sampler(self.rng, [State(0, (), self.values)]).init()

    def _counts(self, sample: Sampler, formals: list[Formal]) -> list[str]:
        words = {formal.name for formal in formals}
        return [
            word
            for word in sample.values(int)
            if word in words and all(state.values[word] > 0 for state in sample.states)
        ]

    # ── Claims ───────────────────────────────────────────────────────────────────────────────

    def _with_claims(self, program: Program) -> Program:
        """Volumes behind some statements of networks that are the same wherever they run."""
        if self.rng.random() < 0.6:
            return program
        seen: dict[int, set[Volume]] = {}
        for meaning in run(program):
            for key, volumes in meaning.machine.seen.items():
                seen.setdefault(key, set()).update(volumes)

        def claimed(step: Any) -> Any:
            volumes = seen.get(id(step), set())
            if isinstance(step, Step) and len(volumes) == 1 and self.rng.random() < 0.3:
                (volume,) = volumes
                return replace(step, claim=volume)
            return step

        items = [
            replace(item, body=tuple(map(claimed, item.body)))
            if isinstance(item, (Network, Block))
            else item
            for item in program.items
        ]
        return Program(tuple(items))


class _Outside(Sampler):
    """Where there is no volume: arguments of members, and of calls that are thought up."""

    def is_image(self) -> bool:
        return False

    def integer(self, low: int, high: int, plain: float = 0.4, volume: bool = True) -> Expr:
        return super().integer(low, high, max(plain, 0.8), volume=False)

    def condition(self) -> Expr:
        return num(self.rng.random() < 0.5)


def _with_first(named: tuple[tuple[str, Volume], ...], volume: Volume) -> Any:
    """The inputs, the first with its own volume."""
    return ((named[0][0], volume), *named[1:]) if named else ()


def _sizes(volume: Volume) -> Expr:
    return num(volume) if len(volume) == 3 else num(volume[0])


def _pairs(formals: list[Formal]) -> set[str]:
    return {formal.pair for formal in formals if formal.pair}
