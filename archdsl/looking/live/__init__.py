"""A page in which a network runs: who draws on it sees what each stage makes of the drawing.

It is a single file that loads no other and sends nothing. The network runs in the browser, by
onnxruntime-web, which is in ``onnxruntime-web/`` with its licences.
"""

from __future__ import annotations

from archdsl.looking.live.document import SAMPLES, render_live_page

__all__ = ["SAMPLES", "render_live_page"]
