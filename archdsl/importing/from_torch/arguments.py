"""What a module's `forward` takes: which of its arguments are inputs, and how they are given."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TypeVar

from torch import nn

from archdsl.frontend import Inputs
from archdsl.importing.errors import WrongSource
from archdsl.importing.inputs import by_name, shown
from archdsl.layers.volume import Volume

_T = TypeVar("_T")
#: What a `forward` that says nothing of its arguments is given.
_UNKNOWN = "input"


def inputs_of(module: nn.Module, name: str, given: Inputs) -> dict[str, Volume]:
    """The inputs of a module by the names that its `forward` has for them, in its order.

    A volume without a name is that of a single input. Arguments with a default keep it, unless
    they are named.

    Errors:
        WrongSource: where names are missing, or are none of its arguments.
    """
    parameters = _parameters(module)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in _VARIABLE]
    if isinstance(given, Volume):
        usual = [*(p.name for p in parameters if p.kind in _BY_PLACE), _UNKNOWN][:1]
        return {**by_name(name, needed or usual, given)}
    known = [p.name for p in parameters if p.kind not in _VARIABLE]
    volumes = by_name(name, known, given)
    wanted = needed or ([] if volumes else known[:1])
    missing = [one for one in wanted if one not in volumes]
    if missing:
        raise WrongSource(f"{name} needs the volume of `{missing[0]}` as well; {shown(known)}")
    return {one: volumes[one] for one in known if one in volumes}


def arguments_of(module: nn.Module, values: Mapping[str, _T]) -> tuple[list[_T], dict[str, _T]]:
    """Values for inputs as `forward` takes them: by place, and by name."""
    kinds = {p.name: p.kind for p in _parameters(module)}
    named: dict[str, _T] = {}
    by_place: list[_T] = []
    is_skipped = False
    for name, kind in kinds.items():
        if name not in values:
            is_skipped |= kind in _BY_PLACE
        elif is_skipped or kind is inspect.Parameter.KEYWORD_ONLY:
            named[name] = values[name]
        else:
            by_place.append(values[name])
    return (by_place, named) if by_place or named else ([*values.values()], {})


_BY_PLACE = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    """The arguments of `forward` without the module itself; none where that is not known."""
    try:
        return [*inspect.signature(type(module).forward).parameters.values()][1:]
    except (TypeError, ValueError, AttributeError):  # what TorchScript compiled has none
        return []
