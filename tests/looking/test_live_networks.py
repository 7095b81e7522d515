"""Networks of many kinds in a page: in a browser they compute what torch does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from live_pages import (
    DIGITS,
    check_results,
    draw,
    lenet,
    lenet_page,
    ready,
    settle,
    tensor,
)
from looks import train, trained
from pages import Open, browser, opened

from archdsl.looking.activations import record_activations
from archdsl.looking.live import render_live_page
from archdsl.looking.pipeline import strongest
from archdsl.looking.specimen import open_specimen
from archdsl.looking.stages import find_stage

__all__ = ["browser", "opened"]

pytestmark = pytest.mark.filterwarnings("ignore")


def test_branches_colours_and_heads(opened: Open) -> None:
    """The page begins with its image, as `look` sees it."""
    specimen = trained().specimen
    page = render_live_page(specimen, image=trained().image_path, samples=3, channels=3)
    tab = ready(opened(page))
    sizes = specimen.finished.input.torch_sizes
    assert torch.equal(tensor(tab.evaluate("[...live.numbers]"), sizes), trained().image)
    check_results(tab, specimen)
    assert tab.locator("#samples button").count() == 4
    assert tab.locator('section[aria-label="input"] figure').count() == 3
    assert tab.locator('section[aria-label="stem.0"] figure').count() == 3
    tab.locator("#colour").fill("#ff0000")
    tab.locator("#width").fill("3")
    draw(tab, [[(0.2, 0.2), (0.8, 0.8)]])
    pixels = torch.tensor(tab.evaluate("[...live.pixels]")).reshape(sizes)
    assert pixels[:, 8, 10].tolist() == [255, 0, 0]
    check_results(tab, specimen)


NETWORKS = {
    "a part that runs twice": (
        "network Twice: 16x16x1 → 3 { a: conv 3x3 4 same; add { id | conv 1x1 4 }\n"
        "step: { conv 3x3 4 same tanh }; add { step | id }; reuse step; fc 3 }"
    ),
    "probabilities": "network Soft: 16x16x1 → 3 { conv 3x3 4 bn relu; gap; fc 3; softmax }",
    "outputs with names": (
        "network Exits: 16x16x1 → (early: 4, late: 4) { a: conv 3x3 8 same relu\n"
        "early: { gap; fc 4 }; a; maxpool 2; late: fc 4 }"
    ),
    "a tall image": "network Tall: 60x10x3 → 3 { conv 3x3 12 same relu; maxpool 2; fc 3 }",
    "vectors": "network Flat: 8x8x1 → 3 { fc 5 relu; fc 3 }",
    "tokens": (
        "network Tokens: 8x12x3 → 2 { conv 4x4 6 s4; tokens; clstoken; posembed; ln; token 0\n"
        "fc 2 }"
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_runs_is_the_network(name: str, opened: Open, tmp_path: Path) -> None:
    specimen = open_specimen(train(NETWORKS[name], tmp_path))
    tab = ready(opened(render_live_page(specimen)))
    assert tab.locator("#samples button").count() > 0
    tab.locator("#samples button").first.click()
    settle(tab)
    check_results(tab, specimen)
    draw(tab, [[(0.2, 0.3), (0.7, 0.6)]])
    check_results(tab, specimen)


def test_a_page_of_one_part(opened: Open) -> None:
    part = find_stage(lenet().model, "C3")
    tab = ready(opened(render_live_page(lenet(), part=part, samples=0)))
    assert tab.locator("#samples").is_hidden()
    draw(tab, DIGITS["7"])
    check_results(tab, lenet(), stages=[part])
    numbers = tensor(tab.evaluate("[...live.numbers]"), (1, 32, 32))
    wanted = strongest(record_activations(lenet(), numbers).values[part.node], 16)
    labels = tab.locator('section[aria-label="C3"] figure span').all_inner_texts()
    assert labels == [str(channel) for channel in wanted]


def test_a_name_of_a_class_is_only_a_text(opened: Open, tmp_path: Path) -> None:
    hostile = '</script><script>fail("it runs")</script><img src=x onerror=fail()> "'
    folder = tmp_path / "copy"
    shutil.copytree(trained().folder, folder)
    facts = json.loads((folder / "run.json").read_text("utf-8"))
    facts["data"]["classes"][0] = hostile
    (folder / "run.json").write_text(json.dumps(facts), "utf-8")
    tab = ready(opened(render_live_page(open_specimen(folder))))
    names = tab.locator("#answer li span:first-child").all_inner_texts()
    assert hostile in names
    check_results(tab, open_specimen(folder))


def test_a_browser_that_cannot_run_it_says_so(browser: Any, tmp_path: Path) -> None:
    """One without WebAssembly, say: the page says why, and nothing is thrown."""
    path = tmp_path / "page.html"
    path.write_text(lenet_page(), "utf-8")
    tab = browser.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.add_init_script("delete globalThis.WebAssembly")
    tab.goto(path.as_uri())
    tab.wait_for_selector('body[data-state="failed"]', state="attached")
    said = tab.locator("#said").inner_text()
    tab.close()
    assert said.startswith("the network does not run in this browser: ")
    assert errors == []
