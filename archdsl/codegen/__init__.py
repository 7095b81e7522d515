"""PyTorch source through ``templates/``: decided here in Python, laid out there in Jinja."""

from archdsl.codegen.inference import render_deployments
from archdsl.codegen.module import render_module
from archdsl.codegen.networks import entry_name, entry_names
from archdsl.codegen.templates import MODULE, TemplateError

__all__ = [
    "MODULE",
    "TemplateError",
    "entry_name",
    "entry_names",
    "render_deployments",
    "render_module",
]
