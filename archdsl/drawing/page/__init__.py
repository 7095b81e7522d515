"""A page for a browser: the picture, whose blocks can be opened, beside the table and the spec.

It is a single file that loads no other. Its behaviour in the browser is in ``page.js``, and the
layout of the picture there in ``stretch.js``.
"""

from __future__ import annotations

from archdsl.drawing.page.document import render_page

__all__ = ["render_page"]
