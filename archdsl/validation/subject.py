"""A module that has run, and the Models that it must match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from archdsl.model import Model
from archdsl.validation.errors import StepMismatchError
from archdsl.validation.execution import Emitted
from archdsl.validation.expected import (
    Expected,
    Memo,
    calls_within,
    emit_calls,
    initializing_calls,
)
from archdsl.validation.library import Torch


class Subject:
    """The text of a module, run with stand-ins that know what its Models call.

    Errors:
        InvalidModuleError: what keeps the text from running.
    """

    def __init__(self, source: str, models: Mapping[str, Model], *, is_foreign: bool) -> None:
        memo: Memo = {}
        self.models = models
        self.calls = {name: emit_calls(model, memo) for name, model in models.items()}
        called = [inner for call in memo.values() for inner in calls_within(call)]
        starts = [call for model in models.values() for call in initializing_calls(model)]
        packages = {name for model in models.values() for name in model.packages}
        self.torch = Torch([*called, *starts], packages)
        supports = _supports(models.values(), {call.callee for call in called})
        self.emitted = Emitted(source, models, self.torch, supports, is_foreign=is_foreign)

    def expect(self, name: str) -> Expected:
        """What the network of a name has to be."""
        return Expected(self.models[name], self.calls[name], self.torch, self.emitted.helpers)

    def build(self, name: str) -> object:
        """The network of a name, as the module builds it."""
        names = self.emitted.names
        if name not in names:
            raise StepMismatchError("the module does not have it")
        if name not in names.get("__all__", [name]):
            raise StepMismatchError("`__all__` does not have it")
        return names[name]()


def _supports(models: Iterable[Model], callees: set[str]) -> list[str]:
    """The sources of the helper classes that are called."""
    layers = dict.fromkeys(type(node.layer) for model in models for node in model.layers)
    helpers = (helper for layer in layers for helper in layer.helpers().items())
    return [source for name, source in helpers if name in callees]
