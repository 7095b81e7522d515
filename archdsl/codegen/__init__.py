"""PyTorch source through ``templates/``: decided here in Python, laid out there in Jinja."""

from archdsl.codegen.classes import network_class_name
from archdsl.codegen.inference import render_deployments
from archdsl.codegen.module import render_module
from archdsl.codegen.templates import MODULE, TemplateFault

__all__ = [
    "MODULE",
    "TemplateFault",
    "network_class_name",
    "render_deployments",
    "render_module",
]
