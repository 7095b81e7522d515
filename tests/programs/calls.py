"""Calls of the blocks of a file, and what is given to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from programs import names
from programs.expressions import Expr
from programs.places import Signature, Taste
from programs.sampling import Sampler
from programs.tree import Argument, Block, Call


@dataclass
class Caller:
    """Gives arguments to the blocks that a file has so far."""

    rng: Random
    taste: Taste
    signatures: dict[str, Signature] = field(default_factory=dict)

    def name(self, pool: list[str], taken: set[str], near: float = 0.3) -> str:
        if not self.taste.has_strange_names:
            return names.fresh(self.rng, names.PLAIN, taken, 0)
        return names.fresh(self.rng, pool, taken, near)

    def call(self, signature: Signature, sample: Sampler) -> Call | None:
        """A call; None where there is nothing to give for a parameter."""
        args: list[Argument] = []
        is_named = False
        for formal in signature.block.formals:
            if formal.default is not None and self.rng.random() < 0.45:
                is_named = True  # what follows must be given by name
                continue
            is_named = is_named or self.rng.random() < 0.15
            kind = signature.kinds[formal.name]
            value = self.argument(kind, sample)
            if value is None:
                return None
            pair = sample.of_kind(kind) if formal.pair else None
            args.append(Argument(value, pair, formal.name if is_named else None))
        if all(argument.keyword for argument in args):
            self.rng.shuffle(args)
        return Call(signature.block.name, tuple(args))

    def argument(self, kind: str, sample: Sampler) -> Expr | None:
        match kind:
            case "part":
                parts = sample.parts()
                return Expr("word", (self.rng.choice(parts),)) if parts else None
            case "layer":
                return sample.given_layer()
            case "unit":
                words = [*sample.words(Block), *self.units()]
                return Expr("word", (self.rng.choice(words),)) if words else None
        return sample.of_kind(kind)

    def units(self) -> list[str]:
        """The blocks that can be called with one number."""
        return [
            word
            for word, signature in self.signatures.items()
            if (formals := signature.block.formals)
            and signature.kinds[formals[0].name] == "int"
            and not formals[0].pair
            and all(formal.default for formal in formals[1:])
        ]
