"""A whole module: what the template is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePath
from textwrap import fill

from archdsl.classplan import HEAD_CLASS, field_name, heads_of
from archdsl.codegen.classes import SUPPORT, Class, title_of
from archdsl.codegen.conversion import Conversion
from archdsl.codegen.expressions import FUNCTION_SOURCES, literal
from archdsl.codegen.layout import INDENT, WIDTH, DocItem, Verbatim, bracketed, lay_out
from archdsl.codegen.networks import MemberFunction, NetworkClass, Networks, is_member
from archdsl.codegen.templates import render_template
from archdsl.layers import UnaryLayer
from archdsl.layers.volume import Volume
from archdsl.model import Model
from archdsl.network.graph import label_of
from archdsl.text.comment import Comment, said_in
from archdsl.text.printing import blank_unprintable

QUOTES = '"""'


@dataclass(frozen=True)
class ClassView:
    """A class as a template sees it: names and finished lines.

    What is here and in ``ModuleView`` is what users' templates rely on (docs/templates.md).
    """

    name: str
    docstring: list[str]
    is_sequential: bool
    init_header: list[str]
    init_lines: list[str]
    forward_header: list[str]
    forward_lines: list[str]
    head_weights: str
    constants: str


@dataclass(frozen=True)
class FunctionView:
    """A function that builds a member of a family, as a template sees it."""

    name: str
    docstring: list[str]
    header: list[str]
    lines: list[str]


@dataclass(frozen=True)
class ResultView:
    """The class of what a network with named outputs returns, as a template sees it."""

    name: str
    docstring: list[str]
    lines: list[str]


@dataclass(frozen=True)
class ModuleView:
    """A module as a template sees it: each field is a variable there."""

    title: str
    comments: list[str]
    uses_math: bool
    uses_ordered: bool
    #: What is imported as a whole, PyTorch too, in order.
    packages: list[str]
    uses_tensor: bool
    exported: list[str]
    supports: list[str]
    results: list[ResultView]
    classes: list[ClassView]
    networks: list[ClassView]
    functions: list[FunctionView]
    conversion: Conversion | None


def render_module(models: Sequence[Model], templates: Path | None = None) -> str:
    """The source of the module for the networks of one spec. Deterministic.

    ``templates`` is a folder whose ``module.py.jinja`` lays it out in place of the packaged one.

    Errors:
        ValueError: without a network.
        TemplateError: what is wrong with a template of that folder.
    """
    return render_networks(Networks(models), templates)


def render_networks(
    networks: Networks, templates: Path | None, conversion: Conversion | None = None
) -> str:
    """The source of a module. Networks for inference take the weights of the plain ones."""
    return render_template(vars(_module_view(networks, conversion)), templates)


def _module_view(networks: Networks, conversion: Conversion | None) -> ModuleView:
    models = networks.models
    heading = _heading(models)
    blocks = [_class_view(cls, _filled(_block_docstring(cls))) for cls in networks.classes]
    views = [
        _class_view(network.written, _network_docstring(network, heading, networks.functions))
        for network in networks.networks
    ]
    functions = [_function_view(function) for function in networks.functions]
    supports = _supports(models)
    written = [*supports, *(line for view in [*blocks, *views] for line in view.init_lines)]
    return ModuleView(
        title=_title(networks.entries, models[0].path, " for inference" if conversion else ""),
        comments=heading,
        uses_math=any("math." in line for line in written),
        uses_ordered=any("OrderedDict(" in line for line in written),
        packages=_packages(
            models,
            _uses_torch([*blocks, *views], supports)
            or (conversion is not None and (conversion.has_norms or conversion.has_merges)),
        ),
        uses_tensor=any(not v.is_sequential for v in [*blocks, *views])
        or bool(supports or conversion or networks.results),
        exported=_exported(
            [*(v.name for v in views), *(f.name for f in functions), *networks.results]
        ),
        supports=[*supports, *_functions_in(written)],
        results=[_result_view(name, models) for name, models in networks.results.items()],
        classes=[*blocks, *views],
        networks=views,
        functions=functions,
        conversion=conversion,
    )


# ── Text from the spec: nothing of it may end a docstring or hold a control character ────────


def _plain(text: str) -> str:
    shown = blank_unprintable(text)
    return shown.replace("\\", "/").replace('"""', "'''").strip()


#: archdsl recognizes its modules by this phrase, so it stays on one line.
_PHRASE = "Generated by archdsl"
#: Not part of any title, and not a space for `fill`.
_GLUE = "\xa0"


def _title(entries: Sequence[str], path: str, purpose: str) -> str:
    names = ", ".join(entries)
    title = _plain(f"{names}{purpose}. {_PHRASE} from {PurePath(path).name}.")
    glued = title.replace(_PHRASE, _PHRASE.replace(" ", _GLUE))
    width = WIDTH - len(QUOTES) * 2
    lines = fill(glued, width, break_long_words=False, break_on_hyphens=False)
    return lines.replace(_GLUE, " ")


def _exported(names: Sequence[str]) -> list[str]:
    items = [DocItem(Verbatim(f'"{name}"')) for name in names]
    return lay_out("__all__ = ", bracketed("[", items, "]"), 0)


def _heading(models: Sequence[Model]) -> list[str]:
    """The first paragraph of the comment at the top of the spec: its title and source.

    Empty where it is also the comment of the only network, whose docstring has it.
    """
    lines = _paragraph(models[0].heading)
    if len(models) == 1 and lines == _paragraph(models[0].comment):
        return []
    return [line if not line.endswith('"') else f"{line} " for line in lines]


def _paragraph(comment: Comment | None) -> list[str]:
    """The first paragraph of the comment above a file, a block or a network."""
    said = said_in(comment.above) if comment else ()
    return [_plain(line.lstrip("#")) for line in takewhile(lambda line: line.strip("# "), said)]


def _shape(volume: Volume) -> str:
    return " × ".join(map(str, volume.torch_sizes))


# ── Classes ──────────────────────────────────────────────────────────────────────────────────


def _block_docstring(cls: Class) -> str:
    """What the comment above a block says about it, or else where the block is from."""
    title, call = _plain(cls.plan.title), cls.plan.call
    if call is None:
        return (
            "An auxiliary head, for training only."
            if title == HEAD_CLASS
            else f"The part `{title}`."
        )
    comment = _paragraph(call.block.comment)
    # The comment at the top of the file is in the module's docstring.
    if comment and comment != _paragraph(cls.lanes[0].use.model.heading):
        return " ".join(comment)
    return f"The block `{title}` of {PurePath(call.block.span.source.path).name}."


def _filled(text: str) -> list[str]:
    """A docstring's lines within the width, the first after the quotes."""
    # A quote next to the quotes would end or begin the docstring.
    text = f" {text}" if text.startswith('"') else text
    text = f"{text} " if text.endswith('"') else text
    width = WIDTH - len(INDENT)
    room = width - 2 * len(QUOTES)
    if len(text) <= room:
        return [text]
    # Text that needs a second line only for the closing quotes is broken at a word.
    width = min(width, len(QUOTES) + len(text) - 1)
    lines = fill(f"{QUOTES}{text}", width, break_long_words=False, break_on_hyphens=False)
    return lines.removeprefix(QUOTES).splitlines()


def _network_docstring(
    network: NetworkClass, heading: list[str], functions: Sequence[MemberFunction]
) -> list[str]:
    """The comment above a network or a family, its volumes and costs, and what its heads give."""
    model = network.models[0]
    comment = " ".join(_paragraph(_comment_of(model) if network.is_family else model.comment))
    if comment == " ".join(heading).strip():
        comment = ""  # the module's docstring says it
    members = ", ".join(function.name for function in functions if function.network is network)
    if members:
        comment = comment or f"The family `{title_of(network.written.lanes[0].use)}`: {members}."
    docstring = _filled(comment) if comment else []
    # Each member has figures of its own; those of the family are for its defaults.
    own = next((model for model in network.models if not is_member(model)), None)
    if own is not None or not members:
        figures = _figures(own or model)
        figures = f"With its defaults: {figures}" if members else figures
        docstring += ["", *_in_lines(figures)] if docstring else _in_lines(figures)
    names = [head.apply.attribute for head in heads_of(model.plan.steps)]
    if names:
        docstring += [] if len(docstring) > 1 else [""]
        docstring.append(
            f"In training it gives ({', '.join(['logits', *names])}); "
            f"the heads have {model.heads.parameters:,} parameters more."
        )
    return docstring


def _in_lines(figures: str) -> list[str]:
    """Volumes and costs, on lines of their own where one is too long."""
    if len(figures) <= WIDTH - len(INDENT) - 2 * len(QUOTES):
        return [figures]
    volumes, _, costs = figures.partition("; ")
    return [*_filled(f"{volumes};"), costs]


def _result_view(name: str, models: Sequence[Model]) -> ResultView:
    """The class of what some networks return."""
    of = ", ".join(dict.fromkeys(m.member.family.name if m.member else m.name for m in models))
    lines = []
    for index, output in enumerate(models[0].outputs):
        volumes = {model.nodes[model.outputs[index].node].volume for model in models}
        comment = "×".join(map(str, volumes.pop().torch_sizes)) if len(volumes) == 1 else ""
        lines += lay_out(f"{field_name(output.name)}: ", Verbatim("Tensor"), 1, comment=comment)
    return ResultView(name, _filled(f"What {_plain(of)} returns."), lines)


def _comment_of(model: Model) -> Comment | None:
    """The comment of a network's family, if the family is in the network's own file."""
    assert model.member is not None
    family = model.member.family
    return family.comment if family.span.source is model.source else None


def _shapes(ports: Sequence[tuple[str, Volume]]) -> str:
    """Volumes with their names, where they have any."""
    return ", ".join(f"{name} {_shape(volume)}".strip() for name, volume in ports)


def _figures(model: Model) -> str:
    inputs = [(label_of(node), node.volume) for node in model.inputs]
    outputs = [(output.name, model.nodes[output.node].volume) for output in model.outputs]
    outputs = outputs or [("", model.output)]
    return (
        f"{_shapes(inputs)} → {_shapes(outputs)}; "
        f"{model.trunk.parameters:,} parameters, {model.trunk.macs:,} multiply–accumulates."
    )


def _class_view(written: Class, docstring: list[str]) -> ClassView:
    text = written.text
    return ClassView(
        written.name,
        docstring,
        text.is_sequential,
        text.init_header,
        [*text.init_lines],
        [*text.forward_header],
        [*text.forward_lines],
        text.head_weights,
        f"[{', '.join(map(literal, text.constants))}]" if text.constants else "",
    )


def _function_view(function: MemberFunction) -> FunctionView:
    """A function that builds a member of a family."""
    model = function.model
    comment = " ".join(_paragraph(model.comment))
    figures = _in_lines(_figures(model))
    docstring = [*_filled(comment), "", *figures] if comment else figures
    header = bracketed(f"{function.name}(", function.parameters)
    return FunctionView(
        function.name,
        docstring,
        lay_out("def ", header, 0, f" -> {function.network.name}:"),
        lay_out("return ", function.call, 1),
    )


def _supports(models: Sequence[Model]) -> list[str]:
    """The helper classes that the layers of the networks need, in the registry's order."""
    callees = {
        node.layer.emit(model.nodes[node.inputs[0]].volume).callee
        for model in models
        for node in model.layers
        if isinstance(node.layer, UnaryLayer)
    }
    return [source for name, source in SUPPORT.items() if name in callees]


def _functions_in(lines: Sequence[str]) -> list[str]:
    """The functions of the language that the lines call and Python does not have."""
    return [
        source
        for name, source in FUNCTION_SOURCES.items()
        if any(f"{name}(" in line for line in lines)
    ]


def _packages(models: Sequence[Model], uses_torch: bool) -> list[str]:
    """What the module imports as a whole."""
    found = {name for model in models for name in model.packages}
    return sorted(found | ({"torch"} if uses_torch else set()))


def _uses_torch(classes: list[ClassView], supports: list[str]) -> bool:
    lines = [line for view in classes for line in view.forward_lines]
    return any("torch." in line for line in [*lines, *supports])
