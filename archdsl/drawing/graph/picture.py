"""The graph style: boxes of layers, blocks as frames, wires for data; how it fits a page."""

from __future__ import annotations

from dataclasses import dataclass, replace

from archdsl.drawing.canvas.marks import Picture
from archdsl.drawing.figure.collapsing import depth_of
from archdsl.drawing.figure.composition import compose_figure
from archdsl.drawing.graph.boxes import COMPACT, SPACIOUS, Type
from archdsl.drawing.graph.columns import Columns, Trunk
from archdsl.drawing.graph.draft import FigureDraft, KeyPlace
from archdsl.drawing.options import PAGES, Options, Page, is_legible, note_small_text
from archdsl.model import Model


def graph_picture(model: Model, options: Options) -> Picture:
    """The graph of a network, fitted to the page that the options name.

    Errors:
        DrawingError: The options name a part to open that does not exist.
    """
    if options.fit == "none":
        goes_down = options.direction != "right"
        draft = FigureDraft(compose_figure(model, options), SPACIOUS, options)
        columns = Trunk(draft.figure, SPACIOUS, goes_down).columns(1)
        return draft.picture(columns, goes_down, "right" if goes_down else "below")
    return _fitted(model, options, PAGES[options.fit])


def _fitted(model: Model, options: Options, page: Page) -> Picture:
    """The most expanded picture whose text is legible on the page, or else the most legible one."""
    best: Picture | None = None
    for candidate, type in _candidates(model, options):
        figure = compose_figure(model, candidate, is_terse=type is COMPACT)
        picture = _largest(FigureDraft(figure, type, candidate), page)
        if best is None or picture.smallest_text > best.smallest_text + 0.05:
            best = picture
            if candidate.depth != options.depth:
                depth = f"blocks are collapsed below depth {candidate.depth}"
                note = f"{depth}, so that the text is legible on {page.name}"
                best = replace(best, notes=(note,))
        if is_legible(picture, page):
            return best
    assert best is not None
    return note_small_text(best, page)


def _candidates(model: Model, options: Options) -> list[tuple[Options, Type]]:
    """The options to try for a page, from the most expanded to the most collapsed."""
    candidates = [(options, SPACIOUS), (options, COMPACT)]
    if options.depth is None and not options.flat:
        deepest = depth_of(compose_figure(model, options).items)
        candidates += [
            (replace(options, depth=depth), COMPACT) for depth in range(deepest - 1, -1, -1)
        ]
    return candidates


def _largest(draft: FigureDraft, page: Page) -> Picture:
    """The picture with the largest text; without the keys if there is no room for them."""
    places: tuple[KeyPlace, ...] = ("right", "below") if draft.figure.keys else ("none",)
    pictures = [_in_columns(draft, page, place) for place in places]
    best = max(pictures, key=lambda picture: picture.scale)
    if len(places) > 1 and draft.options.legend == "auto" and best.smallest_text < page.smallest:
        return _in_columns(draft, page, "none")
    return best


def _in_columns(draft: FigureDraft, page: Page, place: KeyPlace) -> Picture:
    """The picture in the columns and the direction that make the text largest."""
    tries = [
        _best_columns(draft, page, place, goes_down, through_skips=False)
        for goes_down in _directions(draft.options, page)
    ]
    best = max(tries, key=lambda found: found.scale)
    if best.scale * draft.type.edge < page.smallest:
        # Skips from column to column cross each other, so they are the last resort.
        tries = [
            _best_columns(draft, page, place, goes_down, through_skips=True)
            for goes_down in _directions(draft.options, page)
        ]
        best = max(best, *tries, key=lambda found: found.scale)
    picture = draft.picture(best.columns, best.goes_down, place)
    return replace(picture, scale=_scale_on(best.page, picture))


@dataclass(frozen=True, slots=True)
class _FoundColumns:
    """A layout and about the scale at which it fills its page."""

    scale: float
    columns: Columns
    goes_down: bool
    page: Page


def _best_columns(
    draft: FigureDraft, page: Page, place: KeyPlace, goes_down: bool, through_skips: bool
) -> _FoundColumns:
    """The number of columns that leaves the text largest; few where it is legible with few."""
    if not goes_down and draft.options.direction == "right" and page.height > page.width:
        page = replace(page, width=page.height, height=page.width)
    trunk = Trunk(draft.figure, draft.type, goes_down)
    best: _FoundColumns | None = None
    worse = 0
    for count in range(1, trunk.most + 1):
        columns = trunk.columns(count, through_skips)
        scale = _scale_on(page, draft.size(columns, goes_down, place))
        is_enough = best is not None and best.scale * draft.type.edge >= page.smallest
        if best is None or scale > best.scale * (1.12 if is_enough else 1.01):
            best, worse = _FoundColumns(scale, columns, goes_down, page), 0
        else:
            worse += 1
        if best.scale >= page.growth or worse > 1:
            break
    assert best is not None
    return best


def _directions(options: Options, page: Page) -> tuple[bool, ...]:
    if options.direction != "auto":
        return (options.direction == "down",)
    return (True, False) if page.width > page.height else (True,)


def _scale_on(page: Page, picture: Picture) -> float:
    return min(page.width / picture.width, page.height / picture.height, page.growth)
