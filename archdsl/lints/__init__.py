"""Lints: what is allowed but probably not meant. Each is a function listed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from archdsl.collector import without_collector
from archdsl.lints import claims, dead, layers, texts
from archdsl.lints.subject import LintedNetwork, LintedText, Uses
from archdsl.lints.suppressions import suppress
from archdsl.model import Model
from archdsl.text import syntax
from archdsl.text.diagnostics import Diagnostic

__all__ = ["LINT_CODES", "lint_program"]

#: Lints of a network, by the code of their warnings.
NETWORK_LINTS: dict[str, Callable[[LintedNetwork], Iterator[Diagnostic]]] = {
    "bias-before-norm": layers.bias_before_norm,
    "dropout-before-norm": layers.dropout_before_norm,
    "dropped-rows": layers.dropped_rows,
    "even-kernel-same": layers.even_kernel_same,
    "strided-same": layers.strided_same,
    "softmax-before-loss": layers.softmax_before_loss,
    "heavy-fc": layers.heavy_fc,
    "dead-layer": dead.dead_layer,
}
#: Lints of a file.
TEXT_LINTS: dict[str, Callable[[LintedText], Iterator[Diagnostic]]] = {
    "unused-name": texts.unused_name,
    "unused-use": texts.unused_use,
    "constant-condition": texts.constant_condition,
    "no-effect": texts.no_effect,
    "idle-reference": texts.idle_reference,
    "loose-claim": claims.loose_claim,
}
LINT_CODES = frozenset({*NETWORK_LINTS, *TEXT_LINTS})


@without_collector()
def lint_program(
    program: syntax.Program, models: tuple[Model, ...], uses: Uses
) -> tuple[Diagnostic, ...]:
    """The warnings about a file without errors, in the order of its lines, each once."""
    text = LintedText(program, models, uses)
    networks = [LintedNetwork(model) for model in models]
    found: dict[object, Diagnostic] = {}
    for check in TEXT_LINTS.values():
        for warning in check(text):
            found.setdefault((warning.code, warning.span), warning)
    for look in NETWORK_LINTS.values():
        for network in networks:
            for warning in look(network):
                found.setdefault((warning.code, warning.span), warning)
    kept = suppress(program.source, found.values(), LINT_CODES)
    return tuple(sorted(kept, key=lambda d: d.span.start if d.span else 0))
