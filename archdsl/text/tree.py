"""The syntax tree, built while Lark reduces."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable
from dataclasses import replace
from math import isinf
from typing import Any

from lark import Token, Transformer

from archdsl.text import syntax
from archdsl.text.attachment import Comments
from archdsl.text.comment import Comment
from archdsl.text.diagnostics import Diagnostic
from archdsl.text.source import Source, Span

MAX_DIGITS = 18


class BadTokenError(Exception):
    def __init__(self, diagnostic: Diagnostic, offset: int) -> None:
        self.diagnostic = diagnostic
        self.offset = offset


_LEVELS = {
    "OR": 1,
    "AND": 2,
    "COMPARE": 4,
    "PLUS": 5,
    "MINUS": 5,
    "TIMES": 6,
    "DIVIDE": 6,
    "POWER": 8,
}
_PREFIX_LEVELS = {"NOT": 3, "MINUS": 7}


#: The statements that begin with a word of the language itself.
_STATEMENTS = {"train": syntax.Train, "init": syntax.Init, "reuse": syntax.Reuse}


def _kind_of(first: syntax.Atom) -> type[syntax.Step]:
    """What a statement is, told by its first atom."""
    match first:
        case syntax.Name(id=word):
            return _STATEMENTS.get(word, syntax.Step)
        case syntax.Call(name=syntax.Name(id="aux")):
            return syntax.Aux
        case _:
            return syntax.Step


#: Reads an expression at a place.
ExpressionReader = Callable[[Span], syntax.Expr]
#: A value in a name in quotes.
_VALUE = re.compile(r"\{([^{}]*)\}")


class TreeBuilder(Transformer[Token, Any]):
    """Builds the syntax tree while Lark reduces: one method per rule."""

    source: Source
    #: Where the text begins in the source.
    offset = 0

    def __init__(self, comments: Comments, read: ExpressionReader | None = None) -> None:
        super().__init__()
        self.comments = comments
        self._read = read

    def _span(self, first: Any, last: Any | None = None) -> Span:
        last = first if last is None else last
        offset = self.offset
        start = offset + (first.start_pos or 0) if isinstance(first, Token) else first.span.start
        end = offset + (last.end_pos or 0) if isinstance(last, Token) else last.span.end
        return Span(self.source, start, end)

    def _integer(self, token: Token, digits: str) -> int:
        if len(digits) > MAX_DIGITS:
            span = self._span(token)
            raise BadTokenError(
                Diagnostic("number-too-large", f"a number of {len(digits)} digits", span),
                span.start,
            )
        return int(digits)

    def _float(self, token: Token) -> float:
        value = float(token)
        if isinf(value):
            span = self._span(token)
            raise BadTokenError(
                Diagnostic("number-too-large", "this number is too large", span), span.start
            )
        return value

    def _sizes(self, token: Token, text: str) -> tuple[int, ...]:
        return tuple(self._integer(token, part) for part in re.split("[x×]", text))

    def start(self, children: list[Any]) -> list[Any]:
        return children

    # Expressions

    def NAME(self, token: Token) -> syntax.Name:
        return syntax.Name(self._span(token), str(token))

    def CALL_NAME(self, token: Token) -> syntax.Name:
        start = self.offset + (token.start_pos or 0)
        return syntax.Name(Span(self.source, start, start + len(token) - 1), str(token[:-1]))

    def name(self, children: list[Any]) -> syntax.Name:
        return children[0]  # type: ignore[no-any-return]

    def number(self, children: list[Token]) -> syntax.Number:
        token = children[0]
        if token.type == "FLOAT":
            return syntax.Number(self._span(token), self._float(token))
        return syntax.Number(self._span(token), self._integer(token, token.replace("_", "")))

    def negative_number(self, children: list[Any]) -> syntax.Unary:
        return syntax.Unary(self._span(*children), "-", children[1])

    def dims(self, children: list[Token]) -> syntax.Dims:
        return syntax.Dims(self._span(children[0]), self._sizes(children[0], children[0]))

    def expression(self, children: list[Any]) -> Any:
        """Operands and operators in a row, as a tree: operators that bind tighter are deeper."""
        if len(children) == 1:
            return children[0]
        operands: list[Any] = []
        waiting: list[tuple[int, Token, bool]] = []

        def reduce_to(level: int) -> None:
            while waiting and waiting[-1][0] >= level:
                _, operator, is_prefix = waiting.pop()
                right = operands.pop()
                if is_prefix:
                    symbol = "not" if operator.type == "NOT" else "-"
                    operands.append(syntax.Unary(self._span(operator, right), symbol, right))
                else:
                    left = operands.pop()
                    symbol = {"×": "*", "−": "-"}.get(operator, str(operator))
                    span = self._span(left, right)
                    operands.append(syntax.Binary(span, symbol, left, right))

        is_prefix = True
        for child in children:
            if not isinstance(child, Token):
                operands.append(child)
                is_prefix = False
                continue
            level = _PREFIX_LEVELS[child.type] if is_prefix else _LEVELS[child.type]
            if not is_prefix:
                # Powers group from the right.
                reduce_to(level + (child.type == "POWER"))
            waiting.append((level, child, is_prefix))
            is_prefix = True
        reduce_to(0)
        return operands[0]

    def values(self, children: list[Any]) -> syntax.ListOf:
        open_, *items, close = children
        return syntax.ListOf(self._span(open_, close), tuple(items))

    def ELEMENT_NAME(self, token: Token) -> syntax.Name:
        return self.CALL_NAME(token)

    def element(self, children: list[Any]) -> syntax.Element:
        name, index, close = children
        return syntax.Element(self._span(name, close), name, index)

    # Arguments

    def pair(self, children: list[Any]) -> list[Any]:
        return children

    def argument(self, children: list[Any]) -> syntax.Argument:
        value, *pair = children
        second = pair[0][0] if pair else None
        return syntax.Argument(self._span(value, second), value, second)

    def keyword(self, children: list[Any]) -> syntax.Argument:
        keyword, value, *pair = children
        second = pair[0][0] if pair else None
        return syntax.Argument(self._span(keyword, second or value), value, second, keyword)

    def call(self, children: list[Any]) -> syntax.Call:
        name, *arguments, close = children
        return syntax.Call(self._span(name, close), name, tuple(arguments))

    # Statements

    def flag(self, children: list[Token]) -> syntax.Flag:
        token = children[0]
        return syntax.Flag(self._span(token), token[0], self._sizes(token, token[1:]))

    def named(self, children: list[Any]) -> syntax.Named:
        name, value = children
        return syntax.Named(self._span(name, value), name, value)

    def paren(self, children: list[Any]) -> syntax.Paren:
        open_, value, close = children
        return syntax.Paren(self._span(open_, close), value)

    def label(self, children: list[Any]) -> list[Any]:
        word = children[0]
        if not isinstance(word, Token):
            return ["label", word]
        if word.type != "STRING":
            return ["label", self.NAME(word)]
        return ["label", self._quoted(word)]

    def text(self, children: list[Token]) -> syntax.Text:
        return syntax.Text(self._span(children[0]), str(children[0][1:-1]))

    def _quoted(self, token: Token) -> syntax.Quoted:
        """A name in quotes: texts and values in turn."""
        span = self._span(token)
        texts: list[str] = []
        values: list[syntax.Expr] = []
        start = 1
        for match in _VALUE.finditer(token):
            texts.append(str(token[start : match.start()]))
            start = match.end()
            place = Span(self.source, span.start + match.start(1), span.start + match.end(1))
            assert self._read is not None
            values.append(self._read(place))
        return syntax.Quoted(span, (*texts, str(token[start:-1])), tuple(values))

    def repeat(self, children: list[Any]) -> list[Any]:
        last = children[-1]
        if isinstance(last, Token):  # x3
            last = syntax.Number(self._span(last), self._integer(last, last[1:]))
        return ["repeat", last]

    def claim(self, children: list[Any]) -> list[Any]:
        return ["claim", children[0]]

    def step(self, children: list[Any]) -> syntax.Step:
        parts = {child[0]: child[1] for child in children if isinstance(child, list)}
        atoms = tuple(child for child in children if not isinstance(child, list))
        label, repeat, claim = parts.get("label"), parts.get("repeat"), parts.get("claim")
        span = self._span(label or atoms[0], repeat or atoms[-1])
        kind = _kind_of(atoms[0])
        return kind(span, label, atoms, repeat, claim, self.comments.of(span.start))

    def let(self, children: list[Any]) -> syntax.Let:
        name, value = children
        span = self._span(name, value)
        return syntax.Let(span, name, value, self.comments.of(span.start))

    def cond(self, children: list[Any]) -> syntax.Cond:
        test, then, *otherwise = children
        other = otherwise[0] if otherwise else None
        span = self._span(test, other or then)
        return syntax.Cond(span, test, then, other, self.comments.of(span.start))

    def interval(self, children: list[Any]) -> syntax.Range:
        start, stop = children
        return syntax.Range(self._span(start, stop), start, stop)

    def loop(self, children: list[Any]) -> syntax.For:
        parts = {child[0]: child[1] for child in children if isinstance(child, list)}
        name, values, body = (child for child in children if not isinstance(child, list))
        label, claim = parts.get("label"), parts.get("claim")
        span = self._span(label or name, body)
        comment = self.comments.of(span.start)
        return syntax.For(span, label, name, values, body, claim, comment)

    def expect(self, children: list[Any]) -> syntax.Expect:
        metric, relation, quantity = children
        digits = quantity.rstrip("KMGT")
        self._integer(quantity, digits.replace("_", "").replace(".", ""))
        span = self._span(metric, quantity)
        return syntax.Expect(
            span,
            metric,
            str(relation),
            digits.replace("_", ""),
            str(quantity[len(digits) :]),
            self.comments.of(span.start),
        )

    def chain(self, children: list[Any]) -> syntax.Chain:
        return syntax.Chain(self._span(children[0], children[-1]), tuple(children))

    def body(self, children: list[Any]) -> syntax.Body:
        chains = [child for child in children if isinstance(child, syntax.Chain)]
        forked = any(isinstance(c, Token) and c.type == "BAR" for c in children)
        if forked and self.comments.remarks:
            self._remark_branches(chains)
        return syntax.Body(self._span(children[0], children[-1]), tuple(chains), forked)

    def _remark_branches(self, chains: list[syntax.Chain]) -> None:
        """Give the remarks behind bars to the statements before the bars, already complete."""
        starts = [chain.span.start for chain in chains]
        behind: dict[int, list[str]] = {}
        for start, text in self.comments.take(starts[0]):
            index = bisect(starts, start) - 1
            if index == len(chains) - 1:  # after the braces
                self.comments.remarks.append((start, text))
            else:
                behind.setdefault(index, []).append(text)
        for index, texts in behind.items():
            *others, last = chains[index].statements
            comment = last.comment or Comment()
            comment = replace(comment, behind=(*comment.behind, *texts))
            statements = (*others, replace(last, comment=comment))
            chains[index] = replace(chains[index], statements=statements)

    # Items

    def pair_name(self, children: list[Any]) -> list[Any]:
        return ["pair", children[0]]

    def default(self, children: list[Any]) -> list[Any]:
        return ["default", children[0]]

    def kind(self, children: list[Any]) -> list[Any]:
        word = children[-1]
        return ["kind", self.NAME(word) if isinstance(word, Token) else word]

    def formal(self, children: list[Any]) -> syntax.Formal:
        name, *rest = children
        parts = dict(rest)
        pair, kind, default = parts.get("pair"), parts.get("kind"), parts.get("default")
        span = self._span(name, default or kind or pair or name)
        return syntax.Formal(span, name, pair, default, kind)

    def formals(self, children: list[Any]) -> list[Any]:
        return [child for child in children if isinstance(child, syntax.Formal)]

    def use(self, children: list[Token]) -> syntax.Use:
        return syntax.Use(self._span(children[0]), str(children[0][1:-1]))

    def port(self, children: list[Any]) -> syntax.Port:
        name, volume = children
        return syntax.Port(self._span(name, volume), name, volume)

    def ports(self, children: list[Any]) -> syntax.Ports:
        open_, *ports, close = children
        return syntax.Ports(self._span(open_, close), tuple(ports))

    def network(self, children: list[Any]) -> syntax.Network:
        name, *formals, input_, output, body = children
        listed = tuple(formals[0]) if formals else ()
        return self._network(name, listed, input_, output, body)

    def family(self, children: list[Any]) -> syntax.Network:
        name, *formals, input_, output, body = children
        listed = tuple(formal for formal in formals if isinstance(formal, syntax.Formal))
        return self._network(name, listed, input_, output, body)

    def _network(
        self,
        name: syntax.Name,
        formals: tuple[syntax.Formal, ...],
        input: syntax.Expr | syntax.Ports,
        output: syntax.Expr | syntax.Ports,
        body: syntax.Body,
    ) -> syntax.Network:
        span = self._span(name, output)
        comment = self.comments.of(span.start)
        return syntax.Network(span, name, formals, input, output, body, comment)

    def instance(self, children: list[Any]) -> syntax.Instance:
        name, call, *body = children
        span = self._span(name, call)
        comment = self.comments.of(span.start)
        return syntax.Instance(span, name, call, body[0] if body else None, comment)

    def block(self, children: list[Any]) -> syntax.Block:
        name, *listed, body = children
        formals = (formal for formal in listed if isinstance(formal, syntax.Formal))
        comment = self.comments.of(name.span.start)
        return syntax.Block(name.span, name, tuple(formals), body, comment)

    def phrase(self, children: list[Any]) -> syntax.Block:
        return replace(self.block(children), is_phrase=True)
