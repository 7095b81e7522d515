"""What to say about words, names and braces that do not fit where they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from archdsl.elaborate.environment import Environment
from archdsl.elaborate.errors import ElaborationError
from archdsl.elaborate.names import VOLUME_NAMES, Context, is_word
from archdsl.elaborate.scope import LayerArgument, PartNames, Scope
from archdsl.elaborate.suggestions import meant, with_sign
from archdsl.elaborate.values import trace, written
from archdsl.layers import REGISTRY, Layer
from archdsl.layers.definition import called, fields_of, words_of
from archdsl.layers.elsewhere import LAYERS_ELSEWHERE
from archdsl.network.functions import FUNCTIONS
from archdsl.network.symbols import TracedName
from archdsl.records import dataclass
from archdsl.text import syntax
from archdsl.text.diagnostics import Fix, Label, help_of, suggest
from archdsl.text.source import Span


def taken(name: syntax.Name, kind: str, parts: PartNames) -> ElaborationError:
    found = parts.find(name.id)
    assert found is not None
    return ElaborationError(
        "repeated-name",
        f"`{name.id}` already names {kind}",
        name.span,
        related=(Label(found[1], "first named here"),),
    )


def hidden(atom: syntax.Name, parts: PartNames) -> ElaborationError:
    """What to say about a part that is named inside another one."""
    around, span = parts.all_hidden()[atom.id]
    return ElaborationError(
        "undefined-name",
        f"the part `{atom.id}` is inside `{around}`, and its name ends there",
        atom.span,
        related=(Label(span, "named here"),),
        help=f"refer to `{around}`, or leave out its name",
    )


@dataclass(frozen=True, slots=True)
class NameScope:
    """The names in scope at a statement: blocks through its environment, values and parts."""

    environment: Environment
    values: Set[str]
    parts: Set[str]
    #: Parameters that stand for blocks, and for layers.
    blocks: Set[str] = frozenset()
    layers: Set[str] = frozenset()

    def finds_block(self, name: str) -> bool:
        return name in self.blocks or self.environment.find_block(name) is not None


def name_scope_of(scope: Scope) -> NameScope:
    layers = {name for name, word in scope.words.items() if isinstance(word, LayerArgument)}
    return NameScope(
        scope.environment,
        scope.values.names(),
        scope.parts.names(),
        set(scope.words) - layers,
        layers,
    )


def kind_of(block: syntax.Block) -> str:
    return "phrase" if block.is_phrase else "block"


def is_phrase(name: str, scope: Scope) -> bool:
    """Whether a call is one of a phrase."""
    found = scope.find_block(name)
    return found is not None and found.block.is_phrase


def is_function(name: str, scope: Scope) -> bool:
    """Whether a call is one of a function of expressions, and not of a block with its name."""
    return name in FUNCTIONS and scope.find_block(name) is None


def refuse_given(name: syntax.Name, scope: Scope) -> None:
    """Refuse a name that a parameter for a block or a layer has."""
    if name.id in scope.words:
        raise ElaborationError(
            "repeated-name",
            f"`{name.id}` is already a parameter",
            name.span,
            help="choose another name: a name means one thing",
        )


def is_item(step: syntax.Step) -> bool:
    """Whether a statement is a block, a phrase or a network: not one to be among statements."""
    match step.atoms:
        case (syntax.Name(id="block" | "phrase"), syntax.Call(), *_) if not step.label:
            return True
        case (syntax.Name(id="network"), *_):
            return not step.label
        case _:
            return False


def unknown_word(atom: syntax.Name, step: syntax.Step, names: NameScope) -> ElaborationError:
    """What to say about a word that is not a layer, flag, value or part in this place."""
    word = atom.id
    if is_item(step):
        return ElaborationError(
            "misplaced-statement",
            f"a {word} belongs at the top level of a file, not inside a block or network",
            atom.span,
            help="move it out of these braces",
        )
    if word == "aux":
        message = "`aux` needs a weight"
        help = "write `aux(0.3) { … }` with the weight of the head's loss"
        return ElaborationError("missing-argument", message, atom.span, help=help)
    if word == "reuse":
        message = "`reuse` begins a statement of its own"
        return ElaborationError("misplaced-statement", message, atom.span, help="put `;` before it")
    if names.finds_block(word):
        message = f"block `{word}` is called with parentheses"
        return ElaborationError("unknown-word", message, atom.span, help=f"write `{word}(…)`")
    if word in names.parts:
        message = f"the part `{word}` can only begin a statement"
        return ElaborationError("misplaced-argument", message, atom.span)
    if word in names.values or word in VOLUME_NAMES:
        message = f"the value `{word}` follows no layer"
        return ElaborationError("misplaced-argument", message, atom.span)
    before = _layer_before(atom, step, names)
    if isinstance(before, str):
        if is_word(word):
            return _surplus(before, atom.span)
        before = None
    flags = words_of(before) if before else {}
    written = with_sign(before, atom, step.atoms)
    fixes: tuple[Fix, ...] = (written,) if written else ()
    hint = help_of(fixes)
    own = {item.name for item in fields_of(before) if not item.role.is_derived} if before else ()
    if hint is None and word in own:
        hint = f"an attribute is written `{word}=…`"
    if is_word(word) and before:
        if hint is None:
            listed = ", ".join(f"`{flag}`" for flag in flags)
            hint = f"its flags are {listed}" if flags else "it has no flags"
        message = f"`{before.name}` has no flag `{word}`"
        return ElaborationError("unknown-attribute", message, atom.span, help=hint, fixes=fixes)
    message = f"`{word}` is not a layer" + (f", nor a flag of `{before.name}`" if before else "")
    if hint is None:
        parts = names.parts if atom is step.atoms[0] else ()
        flagged = {*flags, *names.values} if before else set()
        fixes, hint = meant(atom, REGISTRY, "a layer", LAYERS_ELSEWHERE, {*flagged, *parts})
    if hint is None:
        nearest = suggest(word, names.environment.block_names())
        hint = f"did you mean `{nearest}(…)`?" if nearest else "`archdsl layers` lists all layers"
    return ElaborationError("unknown-word", message, atom.span, help=hint, fixes=fixes)


def _surplus(layer: str, place: Span) -> ElaborationError:
    """What to say about an argument for a layer that is given for a parameter."""
    message = f"the layer `{layer}` takes no arguments here"
    hint = f"write `{layer}`: it has its arguments"
    return ElaborationError("surplus-argument", message, place, help=hint)


def unknown_block(call: syntax.Call, names: NameScope) -> ElaborationError:
    if call.name.id == "reuse":
        message = "`reuse` takes the name of a part without parentheses"
        return ElaborationError("unknown-word", message, call.span, help="write `reuse NAME`")
    message = f"there is no block `{call.name.id}`"
    found = called(call.name.id, REGISTRY)
    if found is not None:
        layer, is_same = found
        which = "that is" if is_same else "the nearest here is"
        hint = f"{which} the layer `{layer.name}`, for example `{layer.usage()}`"
        return ElaborationError("unknown-word", message, call.name.span, help=hint)
    if call.name.id in names.layers:
        return _surplus(call.name.id, call.span)
    others = names.environment.block_names() | names.blocks
    fixes, help = meant(call.name, REGISTRY, "a layer", LAYERS_ELSEWHERE, others)
    return ElaborationError("unknown-word", message, call.name.span, help=help, fixes=fixes)


def _layer_before(
    atom: syntax.Name, step: syntax.Step, names: NameScope
) -> type[Layer] | str | None:
    """The layer that a word follows; its name where it is one that is given for a parameter."""
    before: type[Layer] | str | None = None
    for other in step.atoms:
        if other is atom:
            return before
        if isinstance(other, syntax.Name):
            before = other.id if other.id in names.layers else REGISTRY.get(other.id, before)
        elif isinstance(other, syntax.Call) and not (before and other.name.id in FUNCTIONS):
            before = REGISTRY.get(other.name.id, before)
    return before


#: What begins with `_` is PyTorch's own.
_KEY = re.compile(r"(?!_)[\w-]+", re.ASCII)


def read_label(label: syntax.Label, context: Context) -> syntax.Name:
    """The name of a part; one in quotes with its values."""
    if isinstance(label, syntax.Name):
        return label
    values = tuple(trace(value, context) for value in label.values)
    name = label.texts[0]
    for traced, value, text in zip(values, label.values, label.texts[1:], strict=True):
        if isinstance(traced.value, bool) or not isinstance(traced.value, int):
            message = f"a name takes whole numbers, not {written(traced.value)}"
            raise ElaborationError("wrong-value", message, value.span)
        name += str(traced.value) + text
    if not _KEY.fullmatch(name):
        message = f"`{name}` cannot name a module"
        help = "a name in quotes has letters, digits, `_` and `-`, and begins with no `_`"
        raise ElaborationError("wrong-value", message, label.span, help=help)
    return syntax.Name(label.span, TracedName(name, label.texts, values))


def _labels_in(statement: syntax.Statement) -> Iterator[syntax.Label]:
    """The names in the braces of a statement that belong to the scope around it."""
    for body in syntax.bodies_of(statement):
        for inner in (inner for chain in body.chains for inner in chain.statements):
            label = inner.label if isinstance(inner, (syntax.Step, syntax.For)) else None
            if label is None:
                yield from _labels_in(inner)
            else:
                yield label  # what is inside belongs to that part


def refuse_labels_in_copies(step: syntax.Step | syntax.For) -> None:
    """Names inside unnamed copies would belong to the block around, once for each copy."""
    for label in _labels_in(step):
        if isinstance(label, syntax.Quoted) and label.values:
            continue
        help = "name the repeated statement: `stage: { … } ×n`"
        if isinstance(step, syntax.For):
            text = label.span.text.strip('"')
            help = f'put a value into the name: `"{text}{{{step.name.id}}}"`'
        raise ElaborationError(
            "repeated-name",
            f"`{label.span.text}` would be named once for each copy",
            label.span,
            help=help,
        )


def check_aux(call: syntax.Call, step: syntax.Step) -> None:
    if not isinstance(step, syntax.Aux) or len(step.atoms) > 2 or step.repeat is not None:
        raise misplaced_aux(call)
    if len(step.atoms) < 2 or not isinstance(step.atoms[1], syntax.Body):
        raise ElaborationError(
            "missing-argument",
            "an auxiliary head needs its layers in braces",
            call.span,
            help="for example `aux(0.3) { gap; fc 1000 }`",
        )


def misplaced_aux(call: syntax.Call) -> ElaborationError:
    return ElaborationError(
        "misplaced-aux",
        "an auxiliary head is a statement of its own on the trunk of a network",
        call.span,
    )
