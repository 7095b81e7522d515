"""The codes of diagnostics: stable names, each with a page. Declared by topic, looked up here."""

from __future__ import annotations

from archdsl.rules import arguments, structure, text, training, volumes, warnings, words
from archdsl.rules.rule import Rule, Topic

__all__ = ["RULES", "RULES_BY_TOPIC", "Rule", "Topic"]

RULES_BY_TOPIC: dict[Topic, tuple[Rule, ...]] = {
    Topic.TEXT: text.CODES,
    Topic.WORDS: words.CODES,
    Topic.ARGUMENTS: arguments.CODES,
    Topic.STRUCTURE: structure.CODES,
    Topic.VOLUMES: volumes.CODES,
    Topic.TRAINING: training.CODES,
    Topic.WARNINGS: warnings.CODES,
}

RULES: dict[str, Rule] = {code.name: code for codes in RULES_BY_TOPIC.values() for code in codes}
