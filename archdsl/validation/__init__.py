"""Is the text of a module the network of its Model? Decided without torch, before it is written.

The module is executed with stand-ins for the few names of torch that it uses. They record what is
constructed, under which names, and what is applied to what, in training and in evaluation; and
all of that is compared with the Model, step by step. Nothing is shared with ``codegen``, so a
mistake there is found here.
"""

from __future__ import annotations

from collections.abc import Mapping

from archdsl.collector import without_collector
from archdsl.deployment import Deployment
from archdsl.model import Model
from archdsl.validation.comparing import ComparedNetwork
from archdsl.validation.errors import InvalidModuleError
from archdsl.validation.graphs import expected_graphs, recorded_graphs
from archdsl.validation.loading import StateLoading
from archdsl.validation.subject import Subject

__all__ = ["InvalidModuleError", "expected_graphs", "recorded_graphs", "validate"]


@without_collector()
def validate(
    source: str, networks: Mapping[str, Model | Deployment], *, is_foreign: bool = False
) -> None:
    """Compare the text of a module with the Models of all its networks.

    ``networks`` maps the class or function that builds each network without arguments to its Model.
    For a ``Deployment``, it is also compared how it takes the plain network's state.
    ``is_foreign`` says that a user's template laid the text out, which may import what it likes.

    Errors:
        InvalidModuleError: the first difference, with its line in the module and its place in the
            spec.
    """
    models = {n: m.model if isinstance(m, Deployment) else m for n, m in networks.items()}
    subject = Subject(source, models, is_foreign=is_foreign)
    for name, wanted in networks.items():
        with subject.emitted.blaming(name, models[name].span):
            network = ComparedNetwork(subject.build(name), subject.expect(name))
            network.compare_layers()
            network.compare_starts()
            network.compare_heads()
            network.compare_run(True)
            network.compare_run(False)
            if isinstance(wanted, Deployment):
                StateLoading(wanted, network).compare()
