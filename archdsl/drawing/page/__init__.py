"""A page for a browser: the picture, whose blocks open, beside the table and the spec.

It is one file that asks for no other. What it does in the browser is in ``page.js``, and how it
lays the picture out in ``stretch.js``.
"""

from __future__ import annotations

from archdsl.drawing.page.document import render_page

__all__ = ["render_page"]
