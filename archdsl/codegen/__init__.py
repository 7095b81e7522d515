"""PyTorch source through ``templates/``: decided here in Python, laid out there in Jinja."""

from archdsl.codegen.module import render_module

__all__ = ["render_module"]
