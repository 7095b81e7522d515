"""Graphviz's SVG, tidied: a title and a description, tooltips that browsers show, dark pages."""

from __future__ import annotations

from xml.etree import ElementTree

from archdsl.drawing.figure import printable
from archdsl.drawing.palette import DARK_STYLE, SVG_CLASS

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"


def tidy_svg(svg: str, title: str, description: str) -> str:
    """The same picture, described.

    Graphviz titles each element by its id, and hides the tooltip in a link to nowhere: here the
    tooltip is the title. Comments and the document type go.
    """
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)
    for group in root.iter(f"{{{_SVG}}}g"):
        _unlink(group)
    root.set("role", "img")
    root.set("class", SVG_CLASS)
    root.insert(0, _element("title", printable(title)))
    root.insert(1, _element("desc", printable(description)))
    root.insert(2, _element("style", DARK_STYLE))
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _element(tag: str, text: str) -> ElementTree.Element:
    element = ElementTree.Element(f"{{{_SVG}}}{tag}")
    element.text, element.tail = text, "\n"
    return element


def _unlink(group: ElementTree.Element) -> None:
    title = group.find(f"{{{_SVG}}}title")
    if title is None:
        return
    tooltip = None
    for anchored in group.findall(f"{{{_SVG}}}g"):
        link = anchored.find(f"{{{_SVG}}}a")
        if link is None:
            continue
        tooltip = link.get(f"{{{_XLINK}}}title")
        place = list(group).index(anchored)
        group.remove(anchored)
        for child in reversed(list(link)):
            group.insert(place, child)
    if tooltip:
        title.text = tooltip
    else:
        group.remove(title)
