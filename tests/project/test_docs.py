"""The documentation says what is so: examples load, excerpts and numbers are real, links exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

import archdsl
from archdsl.cli import main
from archdsl.cli.commands import MODULES
from archdsl.cli.export import export
from archdsl.cli.train import train
from archdsl.drawing.styles import STYLES, TABLE_FORMATS
from archdsl.elaborate import standard_names
from archdsl.elaborate.calls import signature
from archdsl.elaborate.environment import standard_block
from archdsl.elaborate.names import KEYWORDS
from archdsl.frontend import read_input, read_models
from archdsl.layers import INITIALIZERS, REGISTRY
from archdsl.model import Model
from archdsl.model.claims import METRICS
from archdsl.report.layers import render_layers_markdown
from archdsl.rules import RULES
from archdsl.text.diagnostics import ArchError
from archdsl.text.source import Source

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
TRAINING = ROOT / "docs" / "training.md"
PAGES = [README, CONTRIBUTING, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
#: Made by the tool from its registries, whose tests judge the examples.
GENERATED = {"layers.md", "diagnostics.md"}
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")
ELLIPSIS = "…"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    kind: str
    info: str
    text: str

    def option(self, name: str) -> str | None:
        """The value of ``name=…`` behind the kind."""
        found = re.search(rf"\b{name}=(\S+)", self.info)
        return found and found.group(1)

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def _blocks() -> Iterator[Block]:
    for page in PAGES:
        if page.name in GENERATED:
            continue
        text = page.read_text("utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Block(page, line, *match.groups())


BLOCKS = list(_blocks())


def _of(kind: str, page: Path | None = None) -> list[Block]:
    return [b for b in BLOCKS if b.kind == kind and page in (None, b.page)]


def _read(page: Path) -> str:
    return page.read_text("utf-8")


# ── Examples ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("block", _of("arch"), ids=str)
def test_arch_block(block: Block) -> None:
    """It loads with all its claims, or is refused with the code its page says."""
    input = block.option("input")
    # As a file beside the specs, which it may use.
    source = Source(block.text, (ROOT / "specs" / "example.arch").as_posix())
    try:
        models = read_models(source, read_input(input) if input else None)
        found = {d.code for model in models for d in model.diagnostics}
    except ArchError as error:
        found = {diagnostic.code for diagnostic in error.diagnostics}
    refused = block.option("refused")
    assert found == ({refused} if refused else set())


def test_formatting_shows_what_the_formatter_makes() -> None:
    blocks = [b for b in _of("text") + _of("arch") if b.page.name == "formatting.md"]
    blocks.sort(key=lambda block: block.line)
    assert [block.kind for block in blocks] == ["text", "arch"] * (len(blocks) // 2)
    for before, after in zip(blocks[::2], blocks[1::2], strict=True):
        assert archdsl.format(before.text) == after.text, before


def _excerpt(text: str, lines: list[str]) -> None:
    """Assert that the lines occur in the text in order; ``…`` stands for any lines between."""
    actual = text.splitlines()
    place, is_open = 0, True
    for line in lines:
        if line.strip() == ELLIPSIS:
            is_open = True
            continue
        assert line in actual[place:], line
        found = actual.index(line, place)
        assert is_open or found == place, f"lines are left out before {line!r}"
        place, is_open = found + 1, False


@pytest.mark.parametrize("block", _of("console"), ids=str)
def test_console_block(
    block: Block, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`$ archdsl …` and an excerpt of what it prints."""
    monkeypatch.chdir(ROOT)
    prompt, *lines = block.text.splitlines()
    assert prompt.startswith("$ archdsl ")
    with pytest.raises(SystemExit):
        main(prompt.split()[2:])
    _excerpt(capsys.readouterr().out, lines)


@pytest.mark.parametrize("block", [b for b in _of("python") if b.page != CONTRIBUTING], ids=str)
def test_python_block(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """An excerpt of a file that its first line names, or a program that runs."""
    first, *lines = block.text.splitlines()
    path = ROOT / first.removeprefix("# ").split(" ")[0]
    if first.startswith("# ") and path.is_file():
        _excerpt(_read(path), [line for line in lines if line])
        return
    monkeypatch.chdir(ROOT)
    exec(compile(block.text, str(block), "exec"), {})


@pytest.mark.parametrize("block", _of("diagnostic"), ids=str)
def test_diagnostic_block(block: Block) -> None:
    """A message that a case of the corpus has."""
    corpus = "\n".join(_read(path) for path in sorted(ROOT.glob("tests/elaborate/corpus/*.md")))
    assert block.text in corpus


# ── Facts ────────────────────────────────────────────────────────────────────────────────────


def test_layers_page_is_fresh() -> None:
    expected = render_layers_markdown(REGISTRY.values(), INITIALIZERS.values()) + "\n"
    assert _read(ROOT / "docs" / "layers.md") == expected, "run `make docs`"


def _models() -> dict[str, Model]:
    paths = sorted(ROOT.glob("specs/*.arch"))
    return {model.name: model for path in paths for model in archdsl.load_all(path)}


def test_table_of_networks() -> None:
    row = re.compile(r"^\| (\w+) \| \[[^\]]+\]\((specs/\w+\.arch)\) \| (.+) \|$", re.MULTILINE)
    rows = row.findall(_read(README))
    actual = {
        name: (
            Path(model.path).relative_to(ROOT).as_posix(),
            f"{model.input} → {model.output}",
            f"{model.trunk.parameters:,}",
            f"{model.trunk.macs:,}",
            f"{model.trunk.weight_layers}",
        )
        for name, model in _models().items()
    }
    assert {name: (path, *rest.split(" | ")) for name, path, rest in rows} == actual


def test_first_spec_of_the_readme_is_vgg16() -> None:
    first = _of("arch", README)[0].text
    assert first == _read(ROOT / "specs" / "vgg16.arch")


def test_the_readme_lists_all_commands() -> None:
    rows = re.findall(r"^\| `archdsl ([a-z]+)", _read(README), re.MULTILINE)
    assert rows == list(MODULES)


def test_training_page_has_every_flag() -> None:
    names = [name for option in train.params for name in (*option.opts, *option.secondary_opts)]
    flags = [name for name in names if name.startswith("--")]
    assert "--resume" in flags
    rows = re.findall(r"^\| `-.*\|$", _read(TRAINING), re.MULTILINE)
    described = re.findall(r"--[a-z-]+", " ".join(row.split(" | ")[0] for row in rows))
    assert sorted(described) == sorted(flags)


def test_export_page_has_every_flag() -> None:
    rows = re.findall(r"^\| `-.*\|$", _read(ROOT / "docs" / "export.md"), re.MULTILINE)
    described = re.findall(r"--[a-z]+", " ".join(row.split(" | ")[0] for row in rows))
    flags = [name for option in export.params for name in option.opts if name.startswith("--")]
    assert sorted(described) == sorted(flags)


def test_pictures_page_has_the_formats_and_options_of_each_style() -> None:
    """Its table, where an empty first cell is the style above."""
    page = _read(ROOT / "docs" / "pictures.md").partition("## ")[0]
    found: dict[tuple[str, str], set[str]] = {}
    style = ""
    for row in re.findall(
        r"^\| (`(?:graph|volumes|table)`)? ?\| (.+?) \| (.*?)\|", page, re.MULTILINE
    ):
        style = row[0].strip("`") or style
        options = set(re.findall(r"--([a-z-]+)", row[2])) - {"keep-going"}
        if "those of `graph`" in row[2]:
            options |= found["graph", "svg"]
        found |= {(style, format): options for format in re.findall(r"`(\w+)`", row[1])}
    actual = {}
    for known in STYLES:
        for format in known.formats:
            text = known.texts.get(format)
            supported = text.options if text else known.options
            supported = frozenset() if format in TABLE_FORMATS else supported
            actual[known.name, format] = {name.replace("_", "-") for name in supported}
    assert found == actual


def test_training_page_has_every_data_set() -> None:
    # Imported here, as it brings torchvision: the other tests of this file take less time.
    from archdsl.train.data import DATA_NAMES

    page = _read(TRAINING)
    assert [name for name in DATA_NAMES if f"`{name}`" not in page] == []


def test_language_page_is_complete() -> None:
    page = _read(ROOT / "docs" / "language.md")
    signatures = []
    for name in standard_names():
        definition = standard_block(name)
        assert definition
        signatures.append(signature(name, definition.block.formals))
    wanted = [*signatures, *METRICS, *KEYWORDS]
    assert [word for word in wanted if f"`{word}`" not in page] == []


def test_codes_are_real() -> None:
    assert {block.option("refused") for block in BLOCKS} - {None} <= RULES.keys()


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _read(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_exist(page: Path) -> None:
    targets = [link or image for link, image in LINK.findall(FENCE.sub("", _read(page)))]
    for target in targets:
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), target
        assert not anchor or anchor in _anchors(found), target


@pytest.mark.parametrize("name", ["demo", "test"])
def test_readme_names_the_commands(name: str) -> None:
    assert f"make {name}" in _read(README)
    assert re.search(rf"^{name}:", _read(ROOT / "Makefile"), re.MULTILINE)
