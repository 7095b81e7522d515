"""Jinja templates: the packaged one, and users' own, which may extend it.

Templates are sandboxed. They see the values of a ``ModuleView``, and reach no file and no Python
object beyond them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from jinja2 import (
    ChoiceLoader,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

#: The template that lays out a module; a folder of templates has one of this name.
MODULE = "module.py.jinja"
#: What ``{% extends %}`` writes before the name of a packaged template.
PACKAGED = "packaged"


class TemplateError(Exception):
    """What is wrong with a user's template: one line, with the file and the line where known."""


def render_template(values: Mapping[str, Any], folder: Path | None = None) -> str:
    """Lay out a module by the packaged template, or by that of a user's folder.

    Errors:
        TemplateError: what is wrong with the user's template, or with what it lays out.
    """
    if folder is None:
        return _environment(None, Path()).get_template(f"{PACKAGED}/{MODULE}").render(values)
    if not (folder / MODULE).is_file():
        what = f"has no {MODULE}" if folder.is_dir() else "is not a folder of templates"
        raise TemplateError(f"{folder}: it {what}")
    try:
        source = _environment(folder, Path.cwd()).get_template(MODULE).render(values)
    except TemplateSyntaxError as error:
        place = error.filename or error.name or str(folder)
        raise TemplateError(f"{place}:{error.lineno}: {_one_line(error.message)}") from None
    except Exception as error:  # whatever an expression of the user can raise
        raise TemplateError(f"{_place(error, folder)}: {_reason(error)}") from None
    _check_python(source, folder / MODULE)
    return source


@cache
def _environment(folder: Path | None, _working: Path) -> ImmutableSandboxedEnvironment:
    """The environment for a folder, seen from a working directory."""
    packaged = PrefixLoader({PACKAGED: FileSystemLoader(template_folder())})
    own = [FileSystemLoader(folder)] if folder else []
    return ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([packaged, *own]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def template_folder() -> Path:
    """The packaged templates, or the repository's in an editable install."""
    package = Path(__file__).parent.parent
    packaged = package / "templates"
    return packaged if packaged.is_dir() else package.parent / "templates"


# ── What can be wrong ────────────────────────────────────────────────────────────────────────


def _place(error: Exception, folder: Path) -> str:
    """The last line of a template in the traceback, where Jinja records it."""
    place = str(folder)
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            place = f"{code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _reason(error: Exception) -> str:
    match error:
        case TemplateNotFound():
            return f"there is no template `{error.name}`; ours is `{PACKAGED}/{MODULE}`"
        case RecursionError():
            return f"the template contains itself; ours is `{PACKAGED}/{MODULE}`"
        case UnicodeDecodeError():
            return "a template is not UTF-8 text"
        case OSError():
            return f"cannot read {error.filename}: {error.strerror}"
        case _:
            return _one_line(str(error)) or type(error).__name__


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _check_python(source: str, template: Path) -> None:
    try:
        ast.parse(source)
    except SyntaxError as error:
        lines = source.splitlines()
        number = error.lineno or 1
        shown = lines[number - 1].strip() if number <= len(lines) else "the end"
        raise TemplateError(
            f"{template}: what it lays out is not Python: {error.msg} at line {number}, `{shown}`"
        ) from None
    except (ValueError, RecursionError) as error:
        raise TemplateError(f"{template}: what it lays out is not Python: {error}") from None
