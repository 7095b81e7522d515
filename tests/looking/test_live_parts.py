"""What a page carries: onnxruntime-web with its licences, and pictures to begin with."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from base64 import b64decode
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from looks import train, trained

from archdsl.looking.live.runtime import (
    packed,
    read_binary,
    read_interface,
    read_licence,
    read_notices,
)
from archdsl.looking.live.samples import take_samples
from archdsl.looking.specimen import open_specimen

pytestmark = pytest.mark.filterwarnings("ignore")

DIGITS = "network Small: 32x32x1 → 10 { conv 5x5 4 s4 relu; fc 10; train { data digits } }"


def test_the_files_are_those_of_one_version() -> None:
    version = re.search(rb"ONNX Runtime Web v([0-9.]+)", read_interface())
    assert version
    said = (ROOT / "docs" / "looking.md").read_text("utf-8")
    assert f"onnxruntime-web) {version[1].decode()} in it" in said
    assert f"onnxruntime-web@{version[1].decode()}" in (
        ROOT / "tools" / "bundle_onnxruntime.py"
    ).read_text("utf-8")
    # What WebAssembly begins with: its sign, and version 1.
    assert read_binary()[:8] == b"\0asm\1\0\0\0"
    assert read_licence().startswith("MIT License")
    assert b"THIRD PARTY SOFTWARE NOTICES" in read_notices()


def test_what_is_packed_is_always_the_same() -> None:
    content = bytes(range(256)) * 9
    assert packed(content) == packed(content)
    assert gzip.decompress(b64decode(packed(content))) == content


def test_samples_are_of_all_classes_and_framed(tmp_path: Path) -> None:
    from runs import run

    import archdsl
    from archdsl.recipe import Recipe

    folder = run(archdsl.parse(DIGITS), tmp_path, Recipe("digits", 512, 1)).run.folder
    specimen = open_specimen(folder)
    pictures, frame = take_samples(specimen, 10)
    assert [picture.name for picture in pictures] == list("0123456789")
    for picture in pictures:
        assert picture.pixels.shape == (1, 32, 32)
        assert picture.pixels.dtype == torch.uint8
    assert frame
    # The 28×28 pixels of the digits are in the middle.
    assert frame.top >= 2
    assert frame.right <= 30
    more, _ = take_samples(specimen, 15)
    assert [picture.name for picture in more] == sorted([*"0123456789", *"01234"])
    assert take_samples(specimen, 0) == ([], None)


@pytest.mark.parametrize("name", ["folder:gone", "nothing", "webdataset:gone-{0..1}.tar"])
def test_data_that_is_gone_has_no_samples(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained().folder, folder)
    facts = json.loads((folder / "run.json").read_text("utf-8"))
    facts["data"]["name"] = name
    (folder / "run.json").write_text(json.dumps(facts), "utf-8")
    assert take_samples(open_specimen(folder), 10) == ([], None)


def test_samples_are_as_the_runs_validation_has_them(tmp_path: Path) -> None:
    """Where training crops, the centres of enlarged images."""
    from runs import run

    import archdsl
    from archdsl.recipe import Recipe
    from archdsl.recipe.augmentations import RandomCrop
    from archdsl.train.data import open_data

    model = archdsl.parse(DIGITS)
    folder = run(model, tmp_path, Recipe("digits", 512, 1, (RandomCrop(),))).run.folder
    pictures, _ = take_samples(open_specimen(folder), 3)
    cropped, whole = (
        open_data("digits", input=model.input, augment=augment).validation
        for augment in ((RandomCrop(),), ())
    )
    # They are taken at equal distances.
    places = [place * 1000 // 256 for place in range(256)]
    for picture in pictures:
        assert any(torch.equal(picture.pixels, cropped[place][0]) for place in places)
        assert not any(torch.equal(picture.pixels, whole[place][0]) for place in places)


def test_photographs_have_no_frame(tmp_path: Path) -> None:
    """Something is everywhere on them."""
    spec = "network Flat: 16x16x3 → 4 { conv 3x3 4 relu; fc 4 }"
    pictures, frame = take_samples(open_specimen(train(spec, tmp_path)), 5)
    assert len(pictures) > 1
    assert frame is None
