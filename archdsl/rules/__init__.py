"""The codes of diagnostics: stable names, each with a page. Declared by topic, looked up here."""

from __future__ import annotations

from archdsl.rules import arguments, structure, text, training, volumes, warnings, words
from archdsl.rules.rule import Code, Topic

__all__ = ["CODES", "CODES_BY_TOPIC", "Code", "Topic"]

CODES_BY_TOPIC: dict[Topic, tuple[Code, ...]] = {
    Topic.TEXT: text.CODES,
    Topic.WORDS: words.CODES,
    Topic.ARGUMENTS: arguments.CODES,
    Topic.STRUCTURE: structure.CODES,
    Topic.VOLUMES: volumes.CODES,
    Topic.TRAINING: training.CODES,
    Topic.WARNINGS: warnings.CODES,
}

CODES: dict[str, Code] = {code.name: code for codes in CODES_BY_TOPIC.values() for code in codes}
