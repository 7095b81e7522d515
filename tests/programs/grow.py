"""Statements that grow: each is proposed at random, and kept where it is legal in all worlds.

A *world* is one way in which a statement may run: a call of its block, a member of its family, a
copy of its repeat. What is legal is asked of ``meaning.Machine``, never of the compiler.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from programs import names
from programs.calls import Caller
from programs.expressions import Expr, name, num
from programs.layers import Illegal
from programs.machine import MAX_NODES, Machine
from programs.places import Place, Signature, World
from programs.sampling import Sampler
from programs.tree import (
    Block,
    Body,
    Crop,
    For,
    Formal,
    Given,
    Group,
    Head,
    If,
    Layer,
    Let,
    Merge,
    Quoted,
    Range,
    Recall,
    Reuse,
    Statement,
    Step,
)
from programs.values import GivenLayer, Listed, State, evaluate, is_argument, is_reserved

#: Some fewer than a network may have: ends are added.
MAX_LAYERS = MAX_NODES - 20
#: Statements proposed for one block or network; what is begun is finished plainly.
EFFORT = 80


@dataclass
class Grower(Caller):
    """Grows the chains of one file."""

    effort: int = EFFORT
    #: The worlds behind what was proposed last, where they are known.
    after: list[World] | None = None

    # ── Chains ───────────────────────────────────────────────────────────────────────────────

    def chain(self, worlds: list[World], place: Place, count: int) -> tuple[Body, list[World]]:
        """Up to ``count`` statements, and the worlds behind them."""
        body: list[Statement] = []
        begin = worlds
        for _ in range(count):
            for _ in range(4):
                self.effort -= 1
                if self.effort < 0:
                    break
                proposed = self._propose(worlds, place)
                after = self.after  # where it has been run already
                if proposed and after is None:
                    after = self.run(worlds, proposed, place)
                if proposed and after is not None and self._fits(begin, after, place):
                    body += proposed
                    worlds = after
                    break
            else:
                break
        if not any(isinstance(statement, (Step, If, For)) for statement in body):
            step = Step((Layer(self.rng.choice(["tanh", "relu", "silu"])),))
            body.append(step)
            worlds = self.run(worlds, (step,), place) or worlds
        return tuple(body), worlds

    def run(
        self, worlds: list[World], body: Body, place: Place, limit: int = MAX_LAYERS
    ) -> list[World] | None:
        """The worlds behind statements; None where they are illegal in one of them."""
        after = []
        for world in worlds:
            machine = world.machine
            before = len(machine.nodes)
            machine.max_nodes = before + limit - world.layers
            try:
                state = machine.chain(body, world.state, place.is_trunk)
            except Illegal:
                return None
            after.append(World(machine, state, world.layers + len(machine.nodes) - before))
        return after

    def _fits(self, begin: list[World], after: list[World], place: Place) -> bool:
        for old, new in zip(begin, after, strict=True):
            before, now = old.state.volume, new.state.volume
            if place.keeps and before[:-1] != now[:-1]:
                return False
            if not place.flattens and len(before) == 3 and len(now) == 1:
                return False
        return True

    def _propose(self, worlds: list[World], place: Place) -> Body:
        """One statement, or a ``let`` and one."""
        is_deep = place.depth >= self.taste.max_depth
        sample = Sampler(self.rng, [world.state for world in worlds])
        weights = self.taste.weights
        makers = [
            (max(weights["layers"], 1), self._layers),
            (0 if is_deep else weights["merge"], self._merge),
            (0 if is_deep else weights["group"], self._group),
            (0 if is_deep else weights["if"], self._if),
            (0 if is_deep else weights["for"], self._for),
            (weights["call"] if self.signatures or sample.words(Block) else 0, self._call),
            (weights["let"], self._let),
            (weights["reference"] if sample.parts() else 0, self._reference),
            (weights["head"] if place.is_trunk else 0, self._head),
            (weights["reuse"] if sample.runs() else 0, self._reuse),
        ]
        make = self.rng.choices([m for _, m in makers], [w for w, _ in makers])[0]
        self.after = None
        proposed = make(worlds, place, sample)
        if make != self._call:
            self.after = None
        return proposed

    # ── Statements ───────────────────────────────────────────────────────────────────────────

    def _layers(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        first = sample.layer(place.keeps, place.flattens)
        layers: list[Layer | Given] = [first]
        while self.rng.random() < 0.45:
            layers.append(sample.light(place.keeps))
        given = sample.words(GivenLayer)
        if given and self.rng.random() < 0.4:
            layers.insert(self.rng.randint(0, len(layers)), Given(self.rng.choice(given)))
        label = self._label(sample, place)
        if place.names and not place.loops and self.rng.random() < 0.04 and layers[0] is first:
            label = first.word if first.word != "id" else None
        repeat = sample.count(1 if label else 0) if self.rng.random() < 0.12 else None
        return (self._step(tuple(layers), label, repeat),)

    def _step(
        self, atoms: tuple[Any, ...], label: str | Quoted | None, repeat: Expr | None
    ) -> Step:
        comment = self.rng.choice(names.COMMENTS) if self.rng.random() < 0.05 else None
        return Step(atoms, label, repeat, comment=comment)

    def _label(self, sample: Sampler, place: Place, chance: float = 0.35) -> str | Quoted | None:
        if not place.names or self.rng.random() > chance:
            return None
        label = self.name(names.LABELS, sample.taken_parts(), 0.2)
        if place.loops:
            # Copies have names of their own by the values of their loops.
            texts = (label, *["_"] * (len(place.loops) - 1), self.rng.choice(["", "", "x"]))
            return Quoted(texts, tuple(map(name, place.loops)))
        if self.rng.random() < 0.08:
            words = sample.values(int)
            value = Expr("+", (name(self.rng.choice(words)), num(1))) if words else name("C")
            return Quoted((label, ""), (value,))
        if self.rng.random() < 0.05:
            return Quoted((self.rng.choice(["conv", "if", "C", "block", "relu", label]),))
        if self.rng.random() < 0.05:
            return self.rng.choice(["d1", "x2", "s2", "p0", "g3x3"])
        return None if is_reserved(label) and not is_argument(label) else label

    def _let(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        word = self.name(names.VALUES, sample.taken())
        value: Expr
        match self.rng.randrange(5):
            case 0 | 1:
                value = name("C")
            case 2 | 3:
                value = sample.integer(1, 8, plain=0.1)
            case _:
                value = sample.condition()
        return (Let(word, value),)

    def _group(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        label = self._label(sample, place, 0.6)
        repeat = sample.count(1 if label else 0) if self.rng.random() < 0.55 else None
        inside = replace(
            place,
            depth=place.depth + 1,
            is_trunk=place.is_trunk and label is None,
            flattens=False,
            keeps=place.keeps or (repeat is not None and self.rng.random() < 0.6),
            names=label is not None or (place.names and repeat is None),
            loops=() if label else place.loops,
        )
        inner = [_fresh_scope(world) if label else world for world in worlds]
        if repeat is not None:
            # The second copy may stand before other channels.
            inner += [self._phantom(world) for world in inner]
        body, _ = self.chain(inner, inside, self._length())
        atoms = (Group(body), *self._after(sample, place))
        return (self._step(atoms, label, repeat),)

    def _for(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        label = self._label(sample, place, 0.3)
        word = self.name(names.VALUES, sample.taken())
        values = sample.turns(1 if label else 0)
        inner: list[World] = []
        for world in worlds:
            found = _values_of(values, world.state)
            if found is None:
                return ()
            for value in found[:3]:
                state = world.state._replace(values={**world.state.values, word: value})
                inner.append(World(world.machine, state, world.layers))
        if not inner:
            inner = [
                World(w.machine, w.state._replace(values={**w.state.values, word: 1}), w.layers)
                for w in worlds
            ]
        if label:
            inner = [_fresh_scope(world) for world in inner]
        inner += [self._phantom(world) for world in inner[:2]]
        inside = replace(
            place,
            depth=place.depth + 1,
            is_trunk=place.is_trunk and label is None,
            flattens=False,
            keeps=place.keeps or self.rng.random() < 0.6,
            names=label is not None or place.names,
            loops=() if label else (*place.loops, word),
        )
        body, _ = self.chain(inner, inside, self._length())
        return (For(word, values, body, label),)

    def _length(self) -> int:
        return self.rng.randint(1, self.taste.length)

    def _after(self, sample: Sampler, place: Place) -> tuple[Layer, ...]:
        """A light layer behind braces, sometimes."""
        return (sample.light(True),) if self.rng.random() < 0.3 else ()

    def _phantom(self, world: World) -> World:
        machine = Machine(world.machine.blocks, world.machine.globals)
        machine.nodes = list(world.machine.nodes)
        channels = self.rng.choice([world.state.volume[-1] * 2, self.rng.randint(1, 8)])
        volume = (*world.state.volume[:-1], channels)
        return World(machine, world.state._replace(volume=volume), world.layers)

    def _if(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        inside = replace(place, depth=place.depth + 1, flattens=False)
        return (self._cond(worlds, inside, sample, self.rng.random()),)

    def _cond(self, worlds: list[World], place: Place, sample: Sampler, shape: float) -> If:
        test = sample.condition()
        yes, no = sample.split(test, worlds)
        deeper = replace(place, depth=place.depth + 1)
        if self.rng.random() < 0.2 and place.depth <= self.taste.max_depth:
            # An `if` in an `if` and nothing else: all conditions must be kept.
            inside = Sampler(self.rng, [world.state for world in yes or worlds])
            then: Body = (self._cond(yes or worlds, deeper, inside, self.rng.random() / 2),)
        else:
            then, _ = self.chain(yes or worlds, place, min(self._length(), 2))
        if shape < 0.45:
            return If(test, then)
        if shape < 0.7 and place.depth <= self.taste.max_depth:
            rest = no or worlds
            inner = Sampler(self.rng, [world.state for world in rest])
            return If(test, then, self._cond(rest, deeper, inner, self.rng.random()))
        if self.rng.random() < 0.25:
            return If(test, then, (Step((Layer("id"),)),))
        otherwise, _ = self.chain(no or worlds, place, min(self._length(), 2))
        return If(test, then, otherwise)

    def _call(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        given = sample.words(Block)
        if given and (not self.signatures or self.rng.random() < 0.6):
            block = Block(self.rng.choice(given), (Formal("n"),), ())
            signature = Signature(block, {"n": "int"})
        else:
            signature = self.rng.choice(list(self.signatures.values()))
        label = self._label(sample, place)
        for _ in range(4):
            call = self.call(signature, sample)
            if call is None:
                return ()
            atoms: tuple[Any, ...] = (call,)
            if self.rng.random() < 0.2:
                atoms += (self.call(signature, sample) or call,)
            elif self.rng.random() < 0.2:
                atoms += (sample.light(place.keeps),)
            repeat = sample.count(1 if label else 0) if self.rng.random() < 0.2 else None
            step = self._step(atoms, label, repeat)
            after = self.run(worlds, (step,), place)
            if after is None:
                continue
            if self.rng.random() < 0.6:
                self.after = after
                return (step,)
            # What differs between two calls in a row shows what a class must be told.
            other = self._step((self.call(signature, sample) or call,), None, None)
            self.after = self.run(after, (other,), place)
            return (step, other)
        return ()

    def _reference(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        part = self.rng.choice(sample.parts())
        label = self._label(sample, place, 0.2)
        match self.rng.randrange(6):
            case 0:
                atoms: tuple[Any, ...] = (Recall(part), *self._after(sample, place))
                return (self._step(atoms, label, None),)
            case 1:
                return (self._step((Crop(part), *self._after(sample, place)), label, None),)
        is_crop = self.rng.random() < 0.3
        first: Body = (Step((Crop(part) if is_crop else Recall(part),)),)
        if self.rng.random() < 0.4:
            first += (Step((sample.light(True),)),)
        if self.rng.random() < 0.6:
            rest: Body = (Step((Layer("id"),)),)
        else:
            rest, _ = self.chain(worlds, place.inside(keeps=True, flattens=False), 1)
        branches = [first, rest]
        self.rng.shuffle(branches)
        word = self.rng.choice(["concat", "concat", "add", "mul", "sub", "max"])
        atoms = (Merge(word, tuple(branches)), *self._after(sample, place))
        return (self._step(atoms, label, None),)

    def _reuse(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        """A part once more; one of more than a layer, where it fits."""
        runs = sample.runs()
        larger = [run for run in runs if not sample.is_layer(run)]
        part = self.rng.choice(runs)
        for other in self.rng.sample(larger, min(len(larger), 3)):
            if self.run(worlds, (Step((Reuse(other),)),), place) is not None:
                part = other
                break
        label = self._label(sample, place, 0.3)
        repeat = sample.count(1 if label else 0) if self.rng.random() < 0.2 else None
        again: Body = (self._step((Reuse(part),), label, repeat),)
        if label or self.rng.random() < 0.7:
            return again
        rest: Body = (Step((self.rng.choice([sample.light(True), Layer("id")]),)),)
        branches = [(*again, Step((sample.light(True),))), rest]
        self.rng.shuffle(branches)
        return (
            self._step((Merge(self.rng.choice(["concat", "add"]), tuple(branches)),), None, None),
        )

    def _head(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        body, after = self.chain(worlds, Place(flattens=True, depth=2), self.rng.randint(0, 2))
        if any(len(world.state.volume) == 3 for world in after) or self.rng.random() < 0.5:
            body += (Step((Layer("fc", (num(self.rng.randint(1, 3)),)),)),)
        weight = self.rng.choice([0.3, 1.0, 0.25])
        return (self._step((Head(weight, body),), self._label(sample, place, 0.5), None),)

    # ── Merges ───────────────────────────────────────────────────────────────────────────────

    def _merge(self, worlds: list[World], place: Place, sample: Sampler) -> Body:
        word = self.rng.choices(["concat", "add", "mul", "sub", "max"], [4, 4, 2, 0.7, 0.7])[0]
        before: Body = ()
        target = sample.integer(1, 6, plain=0.3, volume=False)
        if word != "concat" and self.rng.random() < 0.5:
            # The input's channels are kept, for a branch that is `id`.
            let = Let(self.name(names.VALUES, sample.taken()), name("C"))
            with_let = self.run(worlds, (let,), place)
            if with_let is not None:
                before, worlds, target = (let,), with_let, name(let.name)
        repeat = None
        if not before and self.rng.random() < 0.12:
            repeat = sample.count(0)
        ending = self._ending(place, sample)
        inside = place.inside(keeps=True, flattens=False, names=place.names and repeat is None)
        branches: list[Body] = []
        inner = worlds
        for index in range(self.rng.choices([2, 3, 4], [7, 3, 1])[0]):
            branch, after = self._branch(inner, inside, word, target, ending, index)
            branches.append(branch)
            # What a branch names, the next may refer to.
            inner = [_at(world, w.state) for world, w in zip(after, worlds, strict=True)]
        order = list(branches)
        if inner and all(
            w.state.parts == o.state.parts for w, o in zip(inner, worlds, strict=True)
        ):
            self.rng.shuffle(order)
        label = self._label(sample, place, 0.2) if repeat is None else None
        atoms = (Merge(word, tuple(order)), *self._after(sample, place))
        return (*before, self._step(atoms, label, repeat))

    def _ending(self, place: Place, sample: Sampler) -> Layer | None:
        """What ends each branch alike, where the merge is of another size than its input."""
        if place.keeps or not sample.is_image() or self.rng.random() < 0.7:
            return None
        if place.flattens and self.rng.random() < 0.3:
            return Layer("flatten")
        return self.rng.choice(
            [
                Layer("gap"),
                Layer("maxpool", (num(2),), (("s", 2), ("same", None))),
                Layer("avgpool", (num(3),), (("s", 2), ("same", None))),
                Layer("conv", (num(3),), (("s", 2), ("same", None))),
                Layer("upsample", (num(2),)),
            ]
        )

    def _branch(
        self,
        worlds: list[World],
        place: Place,
        word: str,
        target: Expr,
        ending: Layer | None,
        index: int,
    ) -> tuple[Body, list[World]]:
        sample = Sampler(self.rng, [world.state for world in worlds])
        skip: Body = (Step((Layer("id"),)),)
        chance = self.rng.random()
        body: Body
        if chance < 0.25 and ending is None and (word == "concat" or sample.has_channels(target)):
            return skip, worlds
        if word == "mul" and chance < 0.55 and index and sample.is_image() and ending is None:
            gate = Layer("conv", (num(1), target)), Layer("sigmoid")
            body = (Step((Layer("gap"),)), Step(gate))
            return body, self.run(worlds, body, place) or worlds
        if self.taste.weights["if"] and self.rng.random() < 0.15:
            body = self._if(worlds, place, sample)
            after = self.run(worlds, body, place)
            if after is None or not self._fits(worlds, after, place):
                return skip, worlds
        else:
            body, after = self.chain(worlds, place, min(self._length(), 3))
        if word != "concat" and not Sampler(
            self.rng, [world.state for world in after]
        ).has_channels(target):
            fit = sample.to_channels(target)
            body += (Step((fit,)),)
            after = self.run(after, (Step((fit,)),), place) or after
        if ending is not None:
            body += (Step((ending,)),)
        return body, after


def _values_of(values: Expr | Range, state: State) -> list[Any] | None:
    """What a loop runs over; None where that is illegal."""
    try:
        if isinstance(values, Range):
            return list(range(evaluate(values.start, state), evaluate(values.stop, state)))
        found = evaluate(values, state)
    except (Illegal, TypeError):
        return None
    return list(found) if isinstance(found, Listed) else None


def _fresh_scope(world: World) -> World:
    return replace(world, state=world.state._replace(own=frozenset(), runs={}))


def _at(world: World, start: State) -> World:
    """A world with the parts that it has, but the place and the values of another."""
    state = world.state._replace(node=start.node, volume=start.volume, values=start.values)
    return replace(world, state=state)
