"""How a deployed network takes the state of its plain twin: a table for each class.

A class's table has what is not where its name says, relative to the place of the class in both
networks. What differs between the instantiations of a class is in the table of the class around it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from archdsl.classplan import (
    heads_of,
)
from archdsl.codegen.expressions import literal
from archdsl.codegen.layout import INDENT, WIDTH
from archdsl.codegen.networks import Networks
from archdsl.codegen.origins import (
    DEFAULT_EPS,
    Folded,
    InstantiationPlace,
    OriginNames,
    Survey,
    below,
)
from archdsl.deployment import Deployment
from archdsl.model import Model


@dataclass(frozen=True, slots=True)
class Conversion:
    """What the template writes after the classes."""

    table: list[str]
    #: By the class of a network: where its auxiliary heads are in the plain state.
    heads: dict[str, str]
    #: Whether a class's table names parts that have no numbers in some of its instantiations.
    has_choices: bool
    #: Whether several layers become one, and whether normalizations are folded into any.
    has_merges: bool
    has_norms: bool
    #: Whether some of the folded layers have no normalization, an `eps` other than PyTorch's, a
    #: bias, or a normalization without weights.
    has_bare_layers: bool
    has_eps: bool
    has_bias: bool
    has_bare_norms: bool
    #: Whether some layer that others are folded into has no bias.
    has_unbiased: bool

    @property
    def is_needed(self) -> bool:
        """Whether anything changes between the two states."""
        return bool(self.table) or any(self.heads.values())


def convert(deployments: Sequence[Deployment], networks: Networks) -> Conversion:
    """The tables of all classes of a module.

    They are tried out on the names of each network before they are written. Where they would bring
    something to the wrong place, each network has a table of all its names instead.

    Errors:
        NoTableError: networks that share a class have no table in common.
    """
    surveys = [Survey(deployment) for deployment in deployments]
    places = [place for survey in surveys for place in survey.run()]
    names = _class_names(places, networks)
    order = [*(cls.name for cls in networks.classes), *(n.name for n in networks.networks)]
    tables = _tables(places, names, order)
    if not _is_right(surveys, tables, names):
        tables = _whole_tables(surveys, names)
        if not _is_right(surveys, tables, names):
            raise NoTableError
    values = [value for entries in tables.values() for value in entries.values()]
    merges = [value for value in values if not isinstance(value, str)]
    folds = [fold for value in merges for fold in value]
    # Without a normalization, layers become one as they are, if all or none have a bias.
    has_norms = any(fold.norm for fold in folds) or any(
        len({fold.bias for fold in value}) > 1 for value in merges
    )
    return Conversion(
        list(_table_lines(tables, has_norms=has_norms)),
        _heads_by_class(deployments, networks),
        _has_choices(surveys, tables, names),
        bool(merges),
        has_norms,
        has_bare_layers=any(not fold.norm for fold in folds),
        has_eps=any(fold.norm and fold.eps != DEFAULT_EPS for fold in folds),
        has_bias=any(fold.bias for fold in folds),
        has_bare_norms=any(not fold.affine for fold in folds),
        has_unbiased=any(not any(f.norm or f.bias for f in value) for value in merges),
    )


def _heads_by_class(deployments: Sequence[Deployment], networks: Networks) -> dict[str, str]:
    """By the class of a network: where its auxiliary heads are. Errors: ``NoTableError``."""
    found: dict[str, str] = {}
    for deployment in deployments:
        heads = _heads(deployment.plain)
        if found.setdefault(networks.network_of(deployment.model).name, heads) != heads:
            raise NoTableError
    return found


def _class_names(places: Sequence[InstantiationPlace], networks: Networks) -> dict[int, str]:
    """The class of each plan, by its identity."""
    return {
        id(place.plan): networks.classes.of(place.plan).name
        if place.around
        else networks.network_of(place.model).name
        for place in places
    }


def _heads(plain: Model) -> str:
    """The auxiliary heads of the plain network, as a tuple of the prefixes of their keys."""
    heads = [head.apply.attribute for head in heads_of(plain.plan.steps)]
    prefixes = [literal(f"{head}.") for head in heads]
    return f"({', '.join(prefixes)}{',' * (len(prefixes) == 1)})" if prefixes else ""


# ── Tables ───────────────────────────────────────────────────────────────────────────────────


def _tables(
    places: Sequence[InstantiationPlace], names: Mapping[int, str], order: Sequence[str]
) -> dict[str, dict[str, OriginNames]]:
    """By class, what all its instantiations agree on; the rest goes to the places around them.

    An instantiation that lacks a part has no say in it.
    """
    tables: dict[str, dict[str, OriginNames]] = {}
    uses: defaultdict[str, list[InstantiationPlace]] = defaultdict(list)
    for place in places:
        uses[names[id(place.plan)]].append(place)
    for name in order:
        found = [_relative(place) for place in uses[name]]
        agreed: dict[str, OriginNames] = {}
        for key, value in (entry for relative in found for entry in relative.items()):
            says = [
                relative.get(key)
                for place, relative in zip(uses[name], found, strict=True)
                if key in relative or place.has(key)
            ]
            if all(said == value for said in says):
                agreed[key] = value
        if agreed:
            tables[name] = agreed
        for place, relative in zip(uses[name], found, strict=True):
            if place.around is not None:
                place.around.entries |= {
                    full: value
                    for (full, value), key in zip(place.entries.items(), relative, strict=True)
                    if key not in agreed
                }
    return tables


def _whole_tables(
    surveys: Sequence[Survey], names: Mapping[int, str]
) -> dict[str, dict[str, OriginNames]]:
    """A table for each network, of all layers by their full names."""
    tables: dict[str, dict[str, OriginNames]] = {}
    for survey in surveys:
        table = tables.setdefault(names[id(survey.model.plan)], {})
        for name, origin in survey.origins.items():
            if table.setdefault(name, origin) != origin:
                raise NoTableError
    return tables


class NoTableError(Exception):
    """Networks that share a class take their numbers from different places."""


# ── Trying out: what ``_load`` of the module will make of the tables ─────────────────────────


def _is_right(
    surveys: Sequence[Survey],
    tables: Mapping[str, Mapping[str, OriginNames]],
    names: Mapping[int, str],
) -> bool:
    return all(_find_origins(survey, tables, names) == survey.origins for survey in surveys)


def _find_origins(
    survey: Survey, tables: Mapping[str, Mapping[str, OriginNames]], names: Mapping[int, str]
) -> dict[str, OriginNames]:
    """By the name of each layer: where the tables say that its numbers come from."""
    found = {"": ""}
    folds: dict[str, OriginNames] = {}
    for name, plan in survey.modules.items():
        around, _, last = name.rpartition(".")
        plain = found.setdefault(name, _join(found[around], last))
        table = tables.get(names[id(plan)], {}) if plan else {}
        for inner, origin in table.items():
            full = _join(name, inner)
            if full not in survey.stateful:
                continue
            if isinstance(origin, str):
                found[full] = _join(plain, origin)
            else:
                folds[full] = tuple(
                    replace(
                        part,
                        layer=_join(plain, part.layer),
                        norm=_join(plain, part.norm) if part.norm else "",
                    )
                    for part in origin
                )
    # What is folded into something other than a layer with numbers is wrong, too.
    return {name: found[name] for name in survey.origins} | folds


def _has_choices(
    surveys: Sequence[Survey],
    tables: Mapping[str, Mapping[str, OriginNames]],
    names: Mapping[int, str],
) -> bool:
    """Whether a table names what has no numbers, or is missing, in some instantiation."""
    return any(
        _join(name, inner) not in survey.stateful
        for survey in surveys
        for name, plan in survey.modules.items()
        if plan is not None
        for inner in tables.get(names[id(plan)], {})
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _relative(place: InstantiationPlace) -> dict[str, OriginNames]:
    """The entries of a place, with names relative to it."""

    def relative(value: OriginNames) -> OriginNames:
        if isinstance(value, str):
            return below(value, place.plain_path)
        return tuple(
            Folded(
                below(f.layer, place.plain_path),
                below(f.norm, place.plain_path) if f.norm else "",
                f.eps,
                f.bias,
                f.affine,
            )
            for f in value
        )

    return {below(path, place.path): relative(value) for path, value in place.entries.items()}


def _table_lines(tables: dict[str, dict[str, OriginNames]], *, has_norms: bool) -> Iterator[str]:
    """The entries of ``_ORIGINS``. Without normalizations a list has only names."""
    has_lists = any(not isinstance(v, str) for entries in tables.values() for v in entries.values())
    for name, entries in tables.items():
        yield f"{INDENT}{name}: {{"
        for key, value in entries.items():
            start = f"{INDENT * 2}{literal(key)}: "
            if isinstance(value, str) and (has_norms or not has_lists):
                yield f"{start}{literal(value)},"
                continue
            folds = (Folded(value),) if isinstance(value, str) else value
            items = [fold.text() if has_norms else literal(fold.layer) for fold in folds]
            text = f"[{', '.join(items)}]"
            if len(start + text) < WIDTH:
                yield f"{start}{text},"
                continue
            yield f"{start}["
            yield from (f"{INDENT * 3}{item}," for item in items)
            yield f"{INDENT * 2}],"
        yield f"{INDENT}}},"
