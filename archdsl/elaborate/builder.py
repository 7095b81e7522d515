"""Statements into nodes and parts: the heart of elaboration.

Volumes are inferred as nodes are placed, because ``C``, ``if`` and repeats need them on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from archdsl.elaborate.binding import Application, bare_arguments, bind_with_forms
from archdsl.elaborate.calls import Given, bind_formals
from archdsl.elaborate.choices import count_conditions, word_of
from archdsl.elaborate.copies import CalledMove, Reached, Stretch, follow
from archdsl.elaborate.environment import BlockDefinition
from archdsl.elaborate.errors import ElaborationError, UnknownVolume
from archdsl.elaborate.findings import Findings
from archdsl.elaborate.initialization import (
    check_bias,
    read_initialization,
)
from archdsl.elaborate.loops import Turns, read_turns
from archdsl.elaborate.names import SIZE_NAMES, Values, refuse_word
from archdsl.elaborate.placing import Placer
from archdsl.elaborate.reuse import Replay, find_reused, named_reuse, reused_name
from archdsl.elaborate.scope import (
    Cursor,
    LayerArgument,
    NetworkInput,
    PartNames,
    Scope,
    result_of,
)
from archdsl.elaborate.training import read_recipe
from archdsl.elaborate.values import decide, evaluate, trace
from archdsl.elaborate.words import (
    check_aux,
    hidden,
    is_function,
    is_phrase,
    kind_of,
    misplaced_aux,
    name_scope_of,
    read_label,
    refuse_given,
    refuse_labels_in_copies,
    taken,
    unknown_block,
    unknown_word,
)
from archdsl.layers import REGISTRY, Initializer, Layer, MergeLayer
from archdsl.layers.definition import words_of
from archdsl.layers.layer import ErrorNode, merges
from archdsl.layers.plumbing import Identity
from archdsl.layers.volume import Volume
from archdsl.network.graph import CallFrame
from archdsl.network.parts import (
    AuxPart,
    CallPart,
    Chain,
    ChoicePart,
    Declaration,
    ForkPart,
    GroupPart,
    LayerPart,
    Part,
    ReferencePart,
    RepeatPart,
    Written,
    with_comment,
)
from archdsl.network.renumbering import distinct_copies
from archdsl.network.symbols import Size, Symbolic, TupleForm
from archdsl.recipe import Recipe
from archdsl.text import syntax
from archdsl.text.diagnostics import ArchError, Label, respell
from archdsl.text.source import Span

#: How deep block calls may be nested.
MAX_CALL_DEPTH = 40
#: How many copies of statements are elaborated behind a fault: more would say nothing new.
MAX_UNKNOWN_COPIES = 200


class Builder(Placer):
    """Expands the body of one network into a graph and a tree of parts."""

    def __init__(
        self, inputs: Sequence[NetworkInput], findings: Findings, outputs: Sequence[str] = ()
    ) -> None:
        super().__init__(inputs, findings)
        #: The names of the network's outputs.
        self.outputs = outputs
        #: Each claim once, in the order they are written.
        self.expects: dict[syntax.Expect, None] = {}
        self.recipe: Recipe | None = None
        #: What the network's weights start as, and where that is written.
        self.init: tuple[Initializer, Span] | None = None
        self.heads = 0
        #: How many `for` statements were begun.
        self.loops = 0
        #: How many copies began with an unknown volume.
        self.unknown_copies = 0
        #: The volume after each step; None where its expansions differ.
        self.volumes: dict[Span, Volume | None] = {}
        #: The bodies of blocks that were called, by what they depend on.
        self.calls: dict[object, Stretch] = {}
        #: Whether a statement was refused together with its name.
        self.lacks_names = False

    # ── Chains ───────────────────────────────────────────────────────────────────────────────

    def chain(
        self, statements: tuple[syntax.Statement, ...], scope: Scope, cursor: Cursor
    ) -> tuple[list[Written], Cursor]:
        """Elaborate statements one after another; their parts, and where they end."""
        parts: list[Written] = []
        for statement in statements:
            self.use_budget(statement.span)
            with self.collecting(scope, statement.span) as ended:
                match statement:
                    case syntax.Train():
                        self._train(statement, scope, cursor)
                    case syntax.Init():
                        before = self.init and self.init[1]
                        context = scope.context(cursor)
                        init = read_initialization(statement, scope, context, before)
                        self.init = init, statement.span
                    case syntax.Step() | syntax.For():
                        more, cursor = self._step(statement, scope, cursor)
                        parts += with_comment(more, statement.comment)
                    case syntax.Let():
                        self._let(statement, scope, cursor)
                    case syntax.Cond():
                        more, cursor = self._cond(statement, scope, cursor)
                        parts += more
                    case syntax.Expect():
                        self._expect(statement, scope)
                continue
            # The statement failed: what follows has an unknown volume, and is not reported.
            if ended and cursor.volume is not None and _makes_layers(statement):
                text = " ".join(statement.span.text.split())
                cursor = self.add_unknown(ErrorNode(text), [cursor], statement.span, scope)
                self.faults[cursor.node] = ended[0]
                parts.append(LayerPart(None, cursor.node))
            cursor = Cursor(cursor.node, None)
        return parts, cursor

    def _let(self, let: syntax.Let, scope: Scope, cursor: Cursor) -> None:
        self._check_value(let.name, scope)
        try:
            value = trace(let.value, scope.context(cursor))
        except (ElaborationError, UnknownVolume):
            scope.values.define(let.name, None)
            raise
        scope.values.define(let.name, value)

    def _check_value(self, name: syntax.Name, scope: Scope) -> None:
        """Refuse the name of a value where something else has it."""
        if scope.parts.find(name.id):
            raise taken(name, "a part", scope.parts)
        refuse_given(name, scope)

    def _train(self, step: syntax.Step, scope: Scope, cursor: Cursor) -> None:
        if scope.blocks or not scope.is_trunk:
            raise ElaborationError(
                "misplaced-statement",
                "`train` is about a whole network and belongs to its body",
                step.span,
            )
        if self.recipe is not None:
            raise ElaborationError("repeated-argument", "a network has one recipe", step.span)
        self.recipe, faults = read_recipe(step, scope.context(cursor), self.outputs)
        for fault in faults:
            self.report(fault, scope)

    def _expect(self, statement: syntax.Expect, scope: Scope) -> None:
        if scope.blocks or not scope.is_trunk:
            raise ElaborationError(
                "misplaced-statement",
                "`expect` is about a whole network and belongs to its body",
                statement.span,
            )
        self.expects[statement] = None

    def body(
        self, body: syntax.Body, scope: Scope, cursor: Cursor, what: str
    ) -> tuple[list[Written], Cursor]:
        """The chain inside braces, in a scope of values of its own."""
        if body.forked:
            *others, last = (f"`{name}`" for name in merges())
            raise ElaborationError(
                "unmerged-branches",
                f"branches are joined by {', '.join(others)} or {last}",
                body.span,
                help=f"write for example `{merges()[0]} {{ … | … }}`",
            )
        statements = [statement for chain in body.chains for statement in chain.statements]
        if not any(map(_can_place, statements)):
            raise ElaborationError("empty-branch", f"{what} is empty", body.span)
        inner = replace(scope, values=Values(scope.values))
        return self.chain(tuple(statements), inner, cursor)

    def _cond(
        self, cond: syntax.Cond, scope: Scope, cursor: Cursor
    ) -> tuple[list[Written], Cursor]:
        start = cursor
        tests: list[Symbolic] = []
        rest: syntax.Cond | syntax.Body | None = cond
        parts: list[Written] = []
        while isinstance(rest, syntax.Cond):
            tests.append(decide(rest.test, scope.context(cursor)))
            if tests[-1].value:
                parts, cursor = self.body(rest.then, scope, cursor, "this branch of `if`")
                break
            rest = rest.otherwise
        else:
            if rest is not None:
                parts, cursor = self.body(rest, scope, cursor, "the `else`")
        taken = len(tests) - 1 if tests[-1].value else len(tests)
        body = Chain(tuple(parts), start.node, cursor.node)
        count, word = count_conditions(cond), word_of(cond, scope)
        return [ChoicePart(tuple(tests), taken, body, count, word, cond.comment)], cursor

    # ── Steps ────────────────────────────────────────────────────────────────────────────────

    def _step(
        self, step: syntax.Step | syntax.For, scope: Scope, cursor: Cursor
    ) -> tuple[list[Written], Cursor]:
        label: syntax.Name | None = None
        is_quoted = isinstance(step.label, syntax.Quoted)
        if step.label:
            try:
                label = read_label(step.label, scope.context(cursor))
                self._check_label(label, scope, is_quoted=is_quoted)
            except ElaborationError:
                self.lacks_names = True
                raise
            if label is not step.label:
                step = replace(step, label=label)
        try:
            return self._labelled(step, label, scope, cursor, is_quoted=is_quoted)
        except (ElaborationError, UnknownVolume):
            if label:
                # What refers to it depends on the fault.
                scope.parts.own.setdefault(label.id, (Cursor(cursor.node, None), label.span))
            raise

    def _labelled(
        self,
        step: syntax.Step | syntax.For,
        label: syntax.Name | None,
        scope: Scope,
        cursor: Cursor,
        *,
        is_quoted: bool,
    ) -> tuple[list[Written], Cursor]:
        """A statement, and its name with what it gives."""
        start, first = cursor, len(self.nodes)
        turns = self._turns(step, scope, cursor)
        copies, cursor = self._copies(step, label, turns, scope, cursor)
        parts = [part for copy in distinct_copies(copies) for part in copy.written]
        if step.claim is not None:
            self.check_volume(step.claim, step.span, scope, start, cursor)
        if self.volumes.setdefault(step.span, cursor.volume) != cursor.volume:
            self.volumes[step.span] = None
        is_repeated = isinstance(step, syntax.For) or step.repeat is not None
        if is_repeated and (parts or label is None):
            name = label.id if label and not isinstance(step, syntax.Reuse) else None
            parts = [RepeatPart(name, copies, turns.count, step.span, cursor.node, turns.loop)]
        if label is None:
            return parts, cursor
        if label.id in REGISTRY and cursor.volume is not None and not is_quoted:
            self._check_layer_label(label, first)
        # What a head computes leaves the network: its name cannot be referred to.
        result = None if isinstance(step, syntax.Aux) else cursor
        scope.parts.own[label.id] = (result, label.span)
        if cursor.volume is None and (not parts or len(self.nodes) == first):
            return parts, cursor
        if not parts:
            cursor = self.place(Identity(), [cursor], step.span, scope)
            scope.parts.own[label.id] = (cursor, label.span)
            parts = [LayerPart(label.id, cursor.node)]
        elif all(isinstance(part, ReferencePart) for part in parts):
            return parts, cursor  # another name for a part that has one
        elif isinstance(step, syntax.Reuse):
            parts = named_reuse(parts, label.id) if cursor.volume is not None else parts
        elif isinstance(step, syntax.Step) and step.repeat is None:
            parts = [_named(step, label.id, Chain(tuple(parts), start.node, cursor.node))]
        if not isinstance(step, syntax.Aux):
            scope.parts.reusable[label.id] = parts[-1]
        return parts, cursor

    def _is_scope(self, step: syntax.Step | syntax.For, scope: Scope) -> bool:
        """Whether names inside a statement are its own: it is named, and has braces or copies."""
        if step.label is None or isinstance(step, (syntax.Aux, syntax.Reuse)):
            return False
        if isinstance(step, syntax.For) or step.repeat is not None:
            return True
        return any(
            isinstance(atom, syntax.Body)
            or (isinstance(atom, syntax.Call) and is_phrase(atom.name.id, scope))
            for atom in step.atoms
        )

    def _turns(self, step: syntax.Step | syntax.For, scope: Scope, cursor: Cursor) -> Turns:
        """How often a statement is repeated, and the value of its name for each copy."""
        if isinstance(step, syntax.For):
            self.loops += 1
            self._check_value(step.name, scope)
            Values(scope.values).define(step.name, None)  # refused without copies, too
        turns = read_turns(step, scope.context(cursor), self.loops)
        if turns.number > 1 and step.label is None:
            refuse_labels_in_copies(step)
        return turns

    def _copies(
        self,
        step: syntax.Step | syntax.For,
        label: syntax.Name | None,
        turns: Turns,
        scope: Scope,
        cursor: Cursor,
    ) -> tuple[Sequence[Chain], Cursor]:
        """The copies of a statement, one behind the other."""
        copies: list[Chain] = []
        is_scope = self._is_scope(step, scope)
        reached = [self._reached(cursor, scope)]
        for turn in range(turns.number):
            if turn and cursor.volume is None:
                self.unknown_copies += 1
                if self.unknown_copies > MAX_UNKNOWN_COPIES:
                    self.lacks_names = True
                    break
            before = len(self.nodes)
            inner = scope
            if is_scope:
                inner = replace(scope, parts=PartNames(scope.parts), is_trunk=False)
            begin = cursor
            parts, cursor = self._copy(step, turns, turn, inner, cursor)
            if len(self.nodes) == before:
                self.use_budget(step.span)  # a copy without layers costs time, too
            copies.append(Chain(tuple(parts), begin.node, cursor.node))
            if label and is_scope:
                scope.parts.hidden |= {
                    n: (label.id, span) for n, (_, span) in inner.parts.own.items()
                }
            reached.append(self._reached(cursor, scope))
            left = turns.number - turn - 1
            if turn and left and not turns.values:
                stretch = Stretch(reached[-2], reached[-1], tuple(parts))
                if stretch.is_empty:
                    return (*copies, *left * [copies[-1]]), cursor
                if stretch.follows_itself(reached[-3]):
                    self.use_layers(left * stretch.size, step.span)
                    self.loops += left * stretch.loops
                    repeated = follow(self.nodes, copies, stretch, reached[-3].nodes, left)
                    return repeated, Cursor(repeated[-1].output, cursor.volume)
        return tuple(copies), cursor

    def _reached(self, cursor: Cursor, scope: Scope) -> Reached:
        """Where elaboration is now."""
        others = (
            self.heads,
            self.findings.added,
            len(self.unknown),
            len(self.poisoned),
            len(scope.parts.own),
            cursor.node in self.poisoned,
        )
        return Reached(len(self.nodes), self.loops, cursor, others)

    def _copy(
        self,
        step: syntax.Step | syntax.For,
        turns: Turns,
        turn: int,
        scope: Scope,
        cursor: Cursor,
    ) -> tuple[list[Written], Cursor]:
        if isinstance(step, syntax.Reuse):
            return self._reuse(step, scope, cursor)
        if isinstance(step, syntax.Step):
            return self._atoms(step, scope, cursor)
        values = Values(scope.values)
        values.define(step.name, turns.values[turn])
        return self.body(step.body, replace(scope, values=values), cursor, "this `for`")

    def _check_layer_label(self, label: syntax.Name, first: int) -> None:
        """``conv: conv 3x3 64``: only a part that begins with a layer may have its name."""
        is_own = first < len(self.nodes) and self.nodes[first].layer.name == label.id
        if not is_own:
            refuse_word(label)

    def _check_label(self, label: syntax.Name, scope: Scope, *, is_quoted: bool) -> None:
        if label.id not in REGISTRY and not is_quoted:
            refuse_word(label, is_label=True)
        if label.id in scope.parts.own:
            raise taken(label, "a part", scope.parts)
        scope.values.refuse_known(label)
        refuse_given(label, scope)

    def _atoms(
        self, step: syntax.Step, scope: Scope, cursor: Cursor
    ) -> tuple[list[Written], Cursor]:
        """One copy of a statement: its layers, calls, groups and merges in order."""
        parts: list[Written] = []
        pending: Application | None = None

        def finish() -> None:
            nonlocal pending, cursor
            if pending is not None:
                application, pending = pending, None
                more, cursor = self._layer(application, scope, cursor)
                parts.extend(more)

        for atom in step.atoms:
            match atom:
                case syntax.Name():
                    if pending is not None and self._is_argument(atom, pending, scope):
                        pending.extend(atom, is_setting=atom.id in words_of(pending.definition))
                        continue
                    finish()
                    if atom.id in REGISTRY:
                        pending = Application(REGISTRY[atom.id], atom.span)
                        continue
                    more, cursor = self._word(atom, step, scope, cursor)
                    parts.extend(more)
                case syntax.Call(name=name) if pending is not None and is_function(name.id, scope):
                    pending.extend(syntax.Paren(atom.span, atom))
                case syntax.Call(name=name) if name.id in REGISTRY:
                    finish()
                    pending = Application(REGISTRY[name.id], name.span)
                    for bare in bare_arguments(atom):
                        pending.extend(bare)
                    pending.span = atom.span
                case syntax.Call(name=name) if name.id == "aux":
                    check_aux(atom, step)
                case syntax.Call():
                    finish()
                    more, cursor = self._call(atom, step, scope, cursor)
                    parts.extend(more)
                case syntax.Body():
                    if pending is not None and issubclass(pending.definition, MergeLayer):
                        application, pending = pending, None
                        more, cursor = self._fork(application, atom, scope, cursor)
                        parts.extend(more)
                    elif isinstance(step, syntax.Aux):
                        parts.append(self._head(step, atom, scope, cursor))
                    elif pending is None:
                        more, cursor = self.body(atom, scope, cursor, "this group")
                        parts.extend(more)
                    else:
                        raise ElaborationError(
                            "misplaced-argument",
                            f"`{pending.definition.name}` takes no braces",
                            atom.span,
                            help="begin a group as a statement of its own",
                        )
                case _:
                    if pending is None:
                        raise ElaborationError(
                            "misplaced-argument",
                            f"`{atom.span.text}` follows no layer that could take it",
                            atom.span,
                            help="a part that is named like an argument cannot be referred to"
                            if scope.parts.find(atom.span.text)
                            else "a statement begins with a layer, a block call or a name",
                        )
                    pending.extend(atom)
        finish()
        return parts, cursor

    def _word(
        self, atom: syntax.Name, step: syntax.Step, scope: Scope, cursor: Cursor
    ) -> tuple[list[Written], Cursor]:
        """A word that is neither a layer's name nor an argument of one."""
        given = scope.words.get(atom.id)
        if isinstance(given, LayerArgument):
            return self._unary(given.layer, given.forms, atom.span, scope, cursor)
        if scope.parts.find(atom.id) and atom is step.atoms[0]:
            reference, source = self._reference(atom, scope)
            return [reference], source
        raise self._unknown(atom, step, scope)

    def _reuse(
        self, step: syntax.Step, scope: Scope, cursor: Cursor
    ) -> tuple[list[Written], Cursor]:
        """An earlier part once more."""
        name = reused_name(step)
        if scope.parts.find(name.id) is None and self.lacks_names:
            raise UnknownVolume
        part = find_reused(name, scope)
        first = len(self.nodes)
        try:
            again = Replay(self, name, scope, step.span).run(part, cursor)
        except UnknownVolume:
            return [], Cursor(cursor.node, None)
        except ElaborationError as fault:
            del self.nodes[first:]
            failed = self.add_unknown(ErrorNode(step.span.text), [cursor], step.span, scope)
            self.faults[failed.node] = self.report(fault, scope)
            return [LayerPart(None, failed.node)], failed
        end = again.body.output
        return [again], Cursor(end, self.nodes[end].volume)

    # ── What holds chains inside ─────────────────────────────────────────────────────────────────

    def _fork(
        self, application: Application, body: syntax.Body, scope: Scope, cursor: Cursor
    ) -> tuple[list[Written], Cursor]:
        """Elaborate branches and the merge that joins them."""
        layer, forms = bind_with_forms(application, scope.context(cursor))
        assert isinstance(layer, Layer)
        if not body.forked:
            raise ElaborationError(
                "missing-branches",
                f"`{layer.name}` needs at least two branches, separated by `|`",
                body.span,
            )
        branches: list[Chain] = []
        ends: list[Cursor] = []
        for chain in body.chains:
            inner = replace(scope, values=Values(scope.values), is_trunk=False)
            parts, end = self.chain(chain.statements, inner, cursor)
            branches.append(Chain(tuple(parts), cursor.node, end.node))
            ends.append(end)
        if len(ends) < 2:
            raise ElaborationError(
                "missing-branches",
                f"`{layer.name}` needs at least two branches, separated by `|`",
                body.span,
            )
        before = len(self.nodes)
        result = self.place(layer, ends, application.span, scope, forms)
        if len(self.nodes) == before:
            if cursor.volume is None:
                return [], result
            result = self.add_unknown(layer, ends, application.span, scope)
        return [ForkPart(result.node, tuple(branches))], result

    def _head(self, step: syntax.Step, body: syntax.Body, scope: Scope, cursor: Cursor) -> AuxPart:
        """Elaborate an auxiliary head; the trunk goes on with its own input."""
        call = step.atoms[0]
        assert isinstance(call, syntax.Call)
        if not scope.is_trunk:
            raise misplaced_aux(call)
        if len(call.arguments) != 1 or call.arguments[0].pair or call.arguments[0].keyword:
            raise ElaborationError(
                "missing-argument",
                "`aux` needs one argument, the weight of its loss",
                call.span,
                help="for example `aux(0.3) { … }`",
            )
        weight = evaluate(call.arguments[0].value, scope.context(cursor))
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight <= 0:
            raise ElaborationError(
                "wrong-value", "the weight of a loss is a number above 0", call.span
            )
        head, self.heads = self.heads, self.heads + 1
        inner = replace(scope, head=head, is_trunk=False, parts=PartNames(scope.parts))
        parts, end = self.body(body, inner, cursor, "this auxiliary head")
        if end.volume is not None and end.node == cursor.node:
            raise ElaborationError("empty-branch", "this auxiliary head has no layer", body.span)
        return AuxPart(None, float(weight), Chain(tuple(parts), cursor.node, end.node), step.span)

    def _call(
        self, call: syntax.Call, step: syntax.Step, scope: Scope, cursor: Cursor
    ) -> tuple[list[Written], Cursor]:
        """Expand the call of a block or a phrase. Recursion is refused."""
        definition = scope.find_block(call.name.id)
        if definition is None:
            if scope.environment.is_partial:
                raise UnknownVolume
            raise unknown_block(call, name_scope_of(scope))
        block = definition.block
        kind = kind_of(block)
        if any(block is outer for outer in scope.blocks):
            names = " → ".join([*(b.name.id for b in scope.blocks), block.name.id])
            raise ElaborationError(
                "recursive-block",
                f"{kind} `{block.name.id}` contains itself: {names}",
                call.name.span,
                related=(Label(block.name.span, "defined here"),),
            )
        if len(scope.blocks) >= MAX_CALL_DEPTH:
            message = f"blocks are nested more than {MAX_CALL_DEPTH} deep"
            self.report(ElaborationError("nested-too-deeply", message, call.span), scope)
            raise ArchError(self.findings)  # two calls in each block would be 2⁴⁰ such faults
        home, context = definition.home, scope.context(cursor)
        given = bind_formals(
            kind, block.formals, call, scope, context, home, is_inlined=block.is_phrase
        )
        label = step.label.id if isinstance(step.label, syntax.Name) else None
        inner = Scope(
            home,
            given.values,
            given.parts,
            (*scope.frames, CallFrame(" ".join(call.span.text.split()), call.span, label)),
            (*scope.blocks, block),
            scope.head,
            is_trunk=False,
            words=given.words,
        )
        taken_parts = dict(given.parts.own)
        known = None if block.is_phrase else self._called(definition, given, scope, cursor)
        if known in self.calls:
            stretch = self.calls[known]
            self.use_layers(stretch.size, call.span)
            move = CalledMove(self.nodes, stretch, self._reached(cursor, scope), inner.frames)
            for node in self.nodes[stretch.begin.nodes : stretch.end.nodes]:
                self.nodes.append(move.node(node))
            self.loops += stretch.loops
            body = move.body()
            parts, end = list(body.written), Cursor(body.output, stretch.end.cursor.volume)
        else:
            begin = self._reached(cursor, scope)
            parts, end = self.body(block.body, inner, cursor, f"{kind} `{block.name.id}`")
            stretch = Stretch(begin, self._reached(end, scope), tuple(parts))
            if known is not None and stretch.is_clean:
                self.calls[known] = stretch
        if block.is_phrase:
            own = {n: found for n, found in given.parts.own.items() if n not in taken_parts}
            for name, (_, span) in own.items():
                self._check_label(syntax.Name(span, name), scope, is_quoted=True)
            scope.parts.own |= own
            scope.parts.reusable |= given.parts.reusable
            scope.parts.hidden |= given.parts.hidden
            return parts, end
        body = Chain(tuple(parts), cursor.node, end.node)
        declared = Declaration(block.name.id, block.span, block.comment)
        reads = tuple(part.node for part, _ in taken_parts.values() if part is not None)
        return [CallPart(None, declared, tuple(given.arguments), body, reads)], end

    def _called(
        self, definition: BlockDefinition, given: Given, scope: Scope, cursor: Cursor
    ) -> object:
        """What a call makes depends on, apart from its place; None where that is the place, too."""
        if given.parts.own or cursor.volume is None or cursor.node in self.poisoned:
            return None
        words = [
            word.layer if isinstance(word, LayerArgument) else id(word.block)
            for word in given.words.values()
        ]
        return (
            id(definition.block),
            # 1, 1.0 and `true` are equal, and not alike.
            *[repr(argument.value) for argument in given.arguments],
            *words,
            cursor.volume,
            # Words are read where an input gives them, and nowhere else.
            cursor.volume.is_vector and not self.nodes[cursor.node].inputs,
            scope.head,
            len(scope.blocks),
        )

    # ── Layers and names ─────────────────────────────────────────────────────────────────────────

    def _unknown(self, atom: syntax.Name, step: syntax.Step, scope: Scope) -> ElaborationError:
        is_first = atom is step.atoms[0]
        self.lacks_names |= is_first
        if is_first and atom.id in scope.parts.all_hidden():
            return hidden(atom, scope.parts)
        return unknown_word(atom, step, name_scope_of(scope))

    def _is_argument(self, atom: syntax.Name, pending: Application, scope: Scope) -> bool:
        """Whether a word is a flag, a value or a reference for the layer before it."""
        if atom.id in words_of(pending.definition):
            return True
        if atom.id in REGISTRY:
            return False
        if pending.takes_reference and not pending.bare:
            return True
        return scope.values.find(atom.id) is not None or atom.id in SIZE_NAMES

    def _reference(self, atom: syntax.Name, scope: Scope) -> tuple[Part, Cursor]:
        found = scope.parts.find(atom.id)
        assert found is not None
        source = result_of(atom, found)
        return ReferencePart(atom.id, source.node), source

    def _layer(
        self, application: Application, scope: Scope, cursor: Cursor
    ) -> tuple[list[Written], Cursor]:
        """Bind and place a layer that has one input."""
        if issubclass(application.definition, MergeLayer):
            raise ElaborationError(
                "missing-branches",
                f"`{application.definition.name}` needs branches",
                application.span,
                help=f"for example `{application.definition.usage()}`",
            )
        parts: list[Written] = []
        if application.takes_reference:
            source = self._referenced(application, scope)
            if cursor.volume is None or source.volume is None or cursor.node in self.poisoned:
                raise UnknownVolume
            volume = cursor.volume
            sizes = [Size(cursor.node, letter) for letter in volume.letters[:-1]]
            parts.append(ReferencePart(application.bare[0].span.text, source.node))
            derived = {"sizes": volume.spatial}
            layer, forms = bind_with_forms(application, scope.context(cursor), derived)
            forms["sizes"] = Symbolic(volume.spatial, TupleForm(tuple(sizes)))
            cursor = source
        else:
            layer, forms = bind_with_forms(application, scope.context(cursor))
        assert isinstance(layer, Layer)
        more, cursor = self._unary(layer, forms, application.span, scope, cursor)
        return [*parts, *more], cursor

    def _unary(
        self,
        layer: Layer,
        forms: Mapping[str, Symbolic],
        span: Span,
        scope: Scope,
        cursor: Cursor,
    ) -> tuple[list[Written], Cursor]:
        """Place a layer with one input."""
        check_bias(layer, span)
        if isinstance(layer, Identity):
            return [], cursor
        before = len(self.nodes)
        cursor = self.place(layer, [cursor], span, scope, forms)
        if len(self.nodes) == before:
            return [], cursor
        return [LayerPart(None, cursor.node)], cursor

    def _referenced(self, application: Application, scope: Scope) -> Cursor:
        name = application.definition.name
        atom = application.bare[0] if application.bare else None
        if not isinstance(atom, syntax.Name):
            raise ElaborationError(
                "missing-argument", f"`{name}` needs the name of a part", application.span
            )
        found = scope.parts.find(atom.id)
        if found is None:
            if self.lacks_names:
                raise UnknownVolume
            if atom.id in scope.parts.all_hidden():
                raise hidden(atom, scope.parts)
            raise ElaborationError(
                "undefined-name",
                f"no part named `{atom.id}` exists here yet",
                atom.span,
                fixes=respell(atom.id, atom.span, scope.parts.names()),
            )
        return result_of(atom, found)


def _can_place(statement: syntax.Statement) -> bool:
    """Whether a statement can be all that braces hold."""
    return isinstance(statement, (syntax.Step, syntax.Cond, syntax.For))


def _makes_layers(statement: syntax.Statement) -> bool:
    return _can_place(statement) and not isinstance(statement, (syntax.Train, syntax.Init))


def _named(step: syntax.Step, name: str, body: Chain) -> Written:
    """The part that carries a statement's name."""
    part = body.written[0]
    is_alone = len(body.written) == 1 and not isinstance(step.atoms[0], syntax.Body)
    if is_alone and isinstance(part, (LayerPart, CallPart, AuxPart)):
        return replace(part, name=name)
    return GroupPart(name, body, step.span)
