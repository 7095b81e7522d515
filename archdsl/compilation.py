"""From Models to the text of a module: written, validated, and only then returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from archdsl.codegen import (
    MODULE,
    TemplateError,
    entry_names,
    render_deployments,
    render_module,
)
from archdsl.deployment import Deployment, deploy
from archdsl.model import Model
from archdsl.validation import InvalidModuleError, validate


def compile_module(
    models: Sequence[Model], *, inference: bool = False, templates: Path | None = None
) -> str:
    """The source of the PyTorch module for the networks of one spec, validated.

    With ``inference`` the networks are written for deployment. ``templates`` is a folder whose
    ``module.py.jinja`` lays the module out in place of the packaged one.

    Errors:
        ValueError: without a network.
        TemplateError: what is wrong with a template of that folder, or with what it lays out.
        InvalidModuleError: the module would not compute what its spec says, which is a bug in
            this package.
    """
    if not inference:
        return _validated(models, templates)
    deployments = [deploy(model) for model in models]
    return _validated(deployments, templates)


def _validated(networks: Sequence[Model] | Sequence[Deployment], templates: Path | None) -> str:
    source = _render(networks, templates)
    names = _by_name(networks)
    try:
        validate(source, names, is_foreign=templates is not None)
    except InvalidModuleError as found:
        if templates is None:
            raise
        # The module of the packaged template tells whose mistake it is.
        validate(_render(networks, None), names)
        raise TemplateError(
            f"{templates / MODULE}: what it lays out is not {found.network} as specified: "
            f"{found.said}"
        ) from None
    return source


def _render(networks: Sequence[Model] | Sequence[Deployment], templates: Path | None) -> str:
    deployments = [network for network in networks if isinstance(network, Deployment)]
    if deployments:
        return render_deployments(deployments, templates)
    return render_module([n for n in networks if isinstance(n, Model)], templates)


def _by_name(
    networks: Sequence[Model] | Sequence[Deployment],
) -> Mapping[str, Model | Deployment]:
    models = [n.model if isinstance(n, Deployment) else n for n in networks]
    names = entry_names(models)
    for name in names:
        if names.count(name) > 1:
            raise InvalidModuleError(name, "two networks have this name")
    return dict(zip(names, networks, strict=True))
