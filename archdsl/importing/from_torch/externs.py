"""Modules that the language cannot say, as `extern`: by what makes another one like them.

That is a class which Python finds, and arguments which a spec can say. They are noted while the
network is made; of a module that is there already, they are its attributes of the same names.
Either way another module is made with them, and has to be the same in all but its numbers.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from archdsl.importing.errors import Refused
from archdsl.layers.extern import Extern, read_target
from archdsl.layers.volume import Volume
from archdsl.torch_tools.counting import count_macs, count_parameters

#: By the identity of a module: itself, and the arguments that it was made with, None where these
#: cannot be known.
Constructions: TypeAlias = "dict[int, tuple[nn.Module, Mapping[str, Any] | None]]"
#: Where modules hold what is compared apart.
_HELD = ("_parameters", "_buffers", "_modules", "training")


@contextmanager
def noted() -> Iterator[Constructions]:
    """Note the arguments of all modules that are made inside."""
    found: Constructions = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or code.co_name != "__init__" or not code.co_argcount:
            return
        given = frame.f_locals
        module = given.get(code.co_varnames[0])
        if not isinstance(module, nn.Module) or id(module) in found:
            return
        is_own = getattr(type(module).__init__, "__code__", None) is code
        found[id(module)] = module, {**given} if is_own else None

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(before)


def extern_of(target: str, module: nn.Module, x: Volume, volume: Volume) -> Extern:
    """The layer of a module that makes a volume of another one, with what torch counts of it.

    Errors:
        Refused: where torch cannot count it, or counts something else in training.
    """
    try:
        training, evaluation = count_macs(module, x)
    except Exception as error:  # whatever the code of others raises
        raise Refused(f"its MACs cannot be counted: {_line(error)}") from None
    if training != evaluation:
        raise Refused(f"it has {training:,} MACs in training, and {evaluation:,} in evaluation")
    return Extern(target, volume.sizes, count_parameters(module), evaluation)


def target_of(module: nn.Module, made: Constructions) -> str:
    """The text from which another module like this one is made: ``mynet:Mixer(64)``.

    Errors:
        Refused: where there is none, with what keeps it.
    """
    package, name = _place_of(type(module))
    bound = _bound(module, made)
    given = [repr(value) for value in bound.args]
    given += [f"{key}={value!r}" for key, value in bound.kwargs.items()]
    target = f"{package}:{name}({', '.join(given)})"
    try:
        read_target(target)
    except ValueError:
        raise Refused(f"`{target}` cannot be said in a spec") from None
    if '"' in target or "\\" in target:
        raise Refused(f"`{target}` has a sign that a spec cannot have in quotes")
    try:
        again = type(module)(*bound.args, **bound.kwargs)
    except Exception as error:  # whatever the code of others raises
        raise Refused(f"`{target}` cannot be made again: {_line(error)}") from None
    like = next(module.parameters(), None)
    other = _difference(module, again if like is None else again.to(like))
    if other is not None:
        raise Refused(f"`{target}` makes another one: `{other}` is not the same")
    return target


def _place_of(kind: type) -> tuple[str, str]:
    """The package that has a class, and its name there. Errors: ``Refused``."""
    name = kind.__qualname__
    if getattr(nn, kind.__name__, None) is kind:
        return "torch.nn", kind.__name__
    if "<locals>" in name:
        raise Refused(f"its class `{name}` is made in a function, where no spec finds it")
    package = kind.__module__
    found: Any = sys.modules.get(package)
    try:
        found = reduce(getattr, name.split("."), found)
    except AttributeError:
        found = None
    if found is not kind:
        raise Refused(f"its class `{name}` is not what `{package}` has by this name")
    root = package.partition(".")[0]
    if root in ("torch", "__main__") or not _is_found(root):
        raise Refused(
            f"its class `{name}` is in `{package}`, which the module of a spec cannot import: put "
            "it where `import` finds it, such as in a folder of PYTHONPATH"
        )
    return package, name


def _is_found(root: str) -> bool:
    """Whether Python finds a package, and the one that is loaded."""
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
    found = next((spec for f in finders if (spec := f.find_spec(root, None))), None)
    if found is None:
        return False
    loaded = getattr(sys.modules[root], "__file__", None) if root in sys.modules else None
    return loaded is None or found.origin is None or Path(found.origin).samefile(loaded)


# ── Arguments ────────────────────────────────────────────────────────────────────────────────


def _bound(module: nn.Module, made: Constructions) -> inspect.BoundArguments:
    """The arguments of a constructor, those left out that are its defaults. Errors: ``Refused``."""
    _, values = made.get(id(module), (module, vars(module)))
    if values is None:
        raise Refused("what its constructor was given is not known, as that is wrapped")
    is_noted = id(module) in made
    signature = inspect.signature(type(module))
    bound = signature.bind_partial()
    for parameter in signature.parameters.values():
        name, default = parameter.name, parameter.default
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            given = values.get(name) if is_noted else None
            if given:
                bound.arguments[name] = given
            continue
        value = values.get(name, parameter.empty)
        if value is parameter.empty and default is parameter.empty:
            raise Refused(f"its argument `{name}` is not known: it does not keep it")
        is_default = type(value) is type(default) and bool(value == default)
        if value is parameter.empty or is_default:
            continue
        if not is_noted and default is not parameter.empty and not _is_literal(value):
            continue  # an attribute of the same name is something else
        bound.arguments[name] = value
    if any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values()):
        bound.apply_defaults()
    by_place = zip(signature.parameters, bound.args, strict=False)
    for name, value in [*by_place, *bound.kwargs.items()]:
        if not _is_literal(value):
            raise Refused(
                f"its argument `{name}` is {_shown(value)}: those of an `extern` are numbers, "
                "texts, and tuples of these"
            )
    return bound


def _is_literal(value: object) -> bool:
    parts = value if type(value) is tuple else (value,)
    return all(type(part) in (bool, int, float, str) for part in parts)


def _shown(value: object) -> str:
    text = repr(value)
    return f"`{text}`" if len(text) < 40 and text.isprintable() else f"of {type(value).__name__}"


# ── The same again ───────────────────────────────────────────────────────────────────────────


def _difference(one: nn.Module, other: nn.Module, path: str = "") -> str | None:
    """Where two modules differ in anything but numbers that are loaded; None where they do not."""
    if type(one) is not type(other):
        return path or "its class"
    before = f"{path}." if path else ""
    ours, theirs = vars(one), vars(other)
    for name in {**ours, **theirs}:
        if name in _HELD:
            continue
        if name not in ours or name not in theirs or not _is_like(ours[name], theirs[name]):
            return before + name
    kept = one._non_persistent_buffers_set
    for tensors, others in ((one._parameters, other._parameters), (one._buffers, other._buffers)):
        if tensors.keys() != others.keys():
            return before + "its numbers"
        for name, tensor in tensors.items():
            again = others[name]
            if tensor is None or again is None:
                is_same = tensor is again
            else:
                is_same = tensor.shape == again.shape and tensor.dtype == again.dtype
                is_same = is_same and tensor.requires_grad == again.requires_grad
                # What no state has is as it is made.
                is_same = is_same and (name not in kept or torch.equal(tensor, again))
            if not is_same:
                return before + name
    if one._modules.keys() != other._modules.keys():
        return before + "its parts"
    for name, inner in one._modules.items():
        again_inner = other._modules[name]
        if inner is None or again_inner is None:
            if inner is not again_inner:
                return before + name
            continue
        found = _difference(inner, again_inner, before + name)
        if found is not None:
            return found
    return None


def _is_like(one: Any, other: Any) -> bool:
    """Whether two attributes are the same, as far as that can be known."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_is_like, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_like(one[key], other[key]) for key in one)
    return bool(one == other)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
