"""The rules behind diagnostics, each with a stable code: declared by topic, looked up here."""

from __future__ import annotations

from archdsl.rules import arguments, structure, text, training, volumes, warnings, words
from archdsl.rules.rule import Rule, Topic

__all__ = ["RULES", "RULES_BY_TOPIC", "Rule", "Topic"]

RULES_BY_TOPIC: dict[Topic, tuple[Rule, ...]] = {
    Topic.TEXT: text.RULES,
    Topic.WORDS: words.RULES,
    Topic.ARGUMENTS: arguments.RULES,
    Topic.STRUCTURE: structure.RULES,
    Topic.VOLUMES: volumes.RULES,
    Topic.TRAINING: training.RULES,
    Topic.WARNINGS: warnings.RULES,
}

RULES: dict[str, Rule] = {rule.name: rule for rules in RULES_BY_TOPIC.values() for rule in rules}
