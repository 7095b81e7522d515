"""Modules that are written in Python."""

from __future__ import annotations

import ast
import keyword
from dataclasses import replace
from typing import Any

from archdsl.layers.call import Arg, Call
from archdsl.layers.fields import (
    REQUIRED,
    SIZES,
    WHOLE,
    FieldKind,
    LayerError,
    attribute,
    derived,
    positional,
)
from archdsl.layers.layer import Example, Family, Saved, UnaryLayer
from archdsl.layers.reach import Reach, reach_all
from archdsl.layers.volume import Volume
from archdsl.records import dataclass

#: What the generated module calls ``nn``, and imports anyway.
_TORCH = "torch.nn"


@dataclass(frozen=True)
class Target:
    """What builds a module: a dotted name in a package, and its arguments, which are literals."""

    package: str
    name: str
    args: tuple[Arg, ...]


def read_target(text: Any) -> Target:
    """``timm.layers:BlurPool2d(64, stride=2)`` as its parts.

    Errors:
        ValueError: it is not of this form.
    """
    if not isinstance(text, str):
        raise ValueError
    package, _, rest = text.partition(":")
    root, *inner = package.split(".")
    if not all(map(_is_name, (root, *inner))):
        raise ValueError
    # These names mean something else in the generated module.
    if root in ("nn", "math", "torch") and package != _TORCH:
        raise ValueError
    try:
        called = ast.parse(rest.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError from None
    if not isinstance(called, ast.Call):
        raise ValueError
    words = [word.arg for word in called.keywords]
    if None in words or len(set(words)) < len(words):
        raise ValueError
    name = ast.unparse(called.func)
    if not all(_is_name(part) for part in name.split(".")):
        raise ValueError
    args = [Arg(_literal(value)) for value in called.args]
    args += [Arg(_literal(word.value), word.arg) for word in called.keywords]
    return Target(package, name, tuple(args))


def _is_name(word: str) -> bool:
    return word.isidentifier() and not keyword.iskeyword(word)


def _literal(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except TypeError:  # a list where none can be
        raise ValueError from None
    parts = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(part, bool | int | float | str) for part in parts):
        raise ValueError
    if not all(part.isprintable() for part in parts if isinstance(part, str)):
        raise ValueError
    return value


def _checked(text: Any) -> str:
    read_target(text)
    return str(text)


TARGET = FieldKind(
    'a call with literals in quotes, such as `"timm.layers:BlurPool2d(64, stride=2)"`',
    _checked,
    is_text=True,
)


@dataclass(frozen=True)
class Extern(UnaryLayer):
    """A module written in Python, by its package, its name and its arguments.

    It is imported by the generated module, and never by archdsl, except where `check --prove` runs
    that module. So the volume of its result, its parameters and its MACs are said in the spec, and
    proved there. It counts as reading the whole volume.
    """

    name = "extern"
    family = Family.PLUMBING
    keeps = Saved(inputs=True, output=True)
    examples = (
        Example(
            'extern "torchvision.ops:SqueezeExcitation(16, 4)" 8x8x16 params=148 macs=128',
            (8, 8, 16),
        ),
        Example('extern "torchvision.ops:Permute((0, 1, 3, 2))" 7x5x3 params=0 macs=0', (5, 7, 3)),
    )

    target: str = positional(TARGET, "what builds the module")
    volume: tuple[int, ...] = positional(SIZES, "the volume of its result")
    params: int = attribute(WHOLE, "its trainable numbers", REQUIRED)
    macs: int = attribute(WHOLE, "its multiply–accumulates for one sample", REQUIRED)
    source: tuple[int, ...] = derived("the volume that it reads")

    def fitted(self, inputs: tuple[Volume, ...]) -> Extern:
        return self if self.source else replace(self, source=inputs[0].sizes)

    def infer_volume(self, x: Volume) -> Volume:
        if self.source and x.sizes != self.source:
            raise LayerError(
                "wrong-volume", f"it is said to make {Volume(self.volume)} of {Volume(self.source)}"
            )
        return Volume(self.volume)

    def count_parameters(self, x: Volume) -> int:
        return self.params

    def count_macs(self, x: Volume) -> int:
        return self.macs

    def reads(self, inputs: tuple[Volume, ...]) -> tuple[Reach, ...]:
        return (reach_all(inputs[0]),)

    def describe(self) -> str:
        return read_target(self.target).name

    def emit(self, x: Volume) -> Call:
        target = read_target(self.target)
        package = "nn" if target.package == _TORCH else target.package
        return Call(f"{package}.{target.name}", target.args)

    @property
    def packages(self) -> tuple[str, ...]:
        package = read_target(self.target).package
        return () if package == _TORCH else (package,)
