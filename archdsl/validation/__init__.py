"""Is the text of a module the network of its Model? Told without torch, before it is written.

The module is executed with stand-ins for the few names of torch that it uses. They record what is
constructed, under which names, and what is applied to what, in training and in evaluation; and
all of that is compared with the Model, step by step. Nothing is shared with ``codegen``, so a
mistake there is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from archdsl.deployment import Deployment
from archdsl.model import Model
from archdsl.parser import without_collector
from archdsl.validation.comparing import Network
from archdsl.validation.execution import Emitted
from archdsl.validation.expected import (
    Expected,
    Memo,
    calls_within,
    emit_calls,
    initializing_calls,
)
from archdsl.validation.faults import Difference, InvalidModule
from archdsl.validation.library import Torch
from archdsl.validation.loading import Loading

__all__ = ["InvalidModule", "validate"]


@without_collector()
def validate(
    source: str, networks: Mapping[str, Model | Deployment], *, is_foreign: bool = False
) -> None:
    """Compare the text of a module with the Models of all its networks.

    ``networks`` has them by the name of what builds each without arguments: a class or a function.
    Of a ``Deployment``, how it takes the plain network's state is compared as well.
    ``is_foreign`` says that a user's template laid the text out, which may import what it likes.

    Errors:
        InvalidModule: the first difference, with its line in the module and its place in the spec.
    """
    models = {n: m.model if isinstance(m, Deployment) else m for n, m in networks.items()}
    memo: Memo = {}
    calls = {name: emit_calls(model, memo) for name, model in models.items()}
    called = [inner for call in memo.values() for inner in calls_within(call)]
    starts = [call for model in models.values() for call in initializing_calls(model)]
    torch = Torch([*called, *starts])
    callees = {call.callee for call in called}
    emitted = Emitted(source, torch, _supports(models.values(), callees), is_foreign=is_foreign)
    for name, model in models.items():
        deployment = networks[name]
        with emitted.blaming(name, model.span):
            expected = Expected(model, calls[name], torch, emitted.helpers)
            network = Network(_build(emitted, name), expected)
            network.compare_layers()
            network.compare_starts()
            network.compare_heads()
            network.compare_run(True)
            network.compare_run(False)
            if isinstance(deployment, Deployment):
                Loading(deployment, network).compare()


def _build(emitted: Emitted, name: str) -> object:
    exported = emitted.names.get("__all__")
    if name not in emitted.names:
        raise Difference("the module does not have it")
    if exported is not None and name not in exported:
        raise Difference("`__all__` does not have it")
    return emitted.names[name]()


def _supports(models: Iterable[Model], callees: set[str]) -> list[str]:
    """The sources of the helper classes that are called."""
    found = dict.fromkeys(n.layer.support for model in models for n in model.layers)
    return [s for s in found if s and s.partition("(")[0].removeprefix("class ") in callees]
