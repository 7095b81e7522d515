"""PyTorch source through ``templates/``: decided here in Python, laid out there in Jinja."""

from archdsl.codegen.classes import network_class_name
from archdsl.codegen.module import render_module

__all__ = ["network_class_name", "render_module"]
