"""PyTorch source through ``templates/``: decided here in Python, laid out there in Jinja."""

from archdsl.codegen.inference import render_deployments
from archdsl.codegen.module import render_module
from archdsl.codegen.networks import entry_name, entry_names
from archdsl.codegen.templates import MODULE, TemplateFault

__all__ = [
    "MODULE",
    "TemplateFault",
    "entry_name",
    "entry_names",
    "render_deployments",
    "render_module",
]
