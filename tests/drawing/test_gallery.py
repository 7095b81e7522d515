"""The gallery shows the networks that it is to show, as they are drawn today."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from conftest import ROOT

import archdsl
from archdsl.cli import main

GALLERY = ROOT / "docs" / "gallery"
PAGE = (ROOT / "docs" / "gallery.md").read_text("utf-8")
STYLES = ("graph", "volumes")
TOOL = runpy.run_path(str(ROOT / "tools" / "gallery.py"))
SHOWN: list[Path] = TOOL["shown_specs"]()


def _pictures(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("style", STYLES)
def test_pictures_are_fresh(style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    specs = [str(path.relative_to(ROOT)) for path in SHOWN]
    with pytest.raises(SystemExit) as done:
        main(["draw", *specs, "--style", style, "--fit", "a4", "--output", f"{tmp_path}/"])
    assert done.value.code == 0
    drawn, kept = _pictures(tmp_path), _pictures(GALLERY / style)
    assert drawn.keys() == kept.keys()
    stale = [name for name, content in drawn.items() if kept[name] != content]
    assert stale == [], "run `make gallery`"


def test_page_is_fresh() -> None:
    assert TOOL["gallery_page"]() == PAGE, "run `make gallery`"


def test_page_shows_each_network_of_each_spec_in_each_style() -> None:
    assert set(SHOWN).issuperset((ROOT / "specs").glob("*.arch"))
    assert [spec for spec in SHOWN if f"]({Path('..') / spec.relative_to(ROOT)})" not in PAGE] == []
    for spec in SHOWN:
        for model in archdsl.load_all(spec):
            for style in STYLES:
                assert f'alt="{model.name} as {style}"' in PAGE
    shown = [f"gallery/{path.relative_to(GALLERY).as_posix()}" for path in GALLERY.rglob("*.svg")]
    assert [path for path in shown if PAGE.count(f'src="{path}"') != 1] == []
