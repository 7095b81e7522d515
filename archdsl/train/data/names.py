"""Opening data by its name."""

from __future__ import annotations

from pathlib import Path

from archdsl.layers.volume import Volume
from archdsl.recipe.augmentations import Augmentation
from archdsl.text.diagnostics import did_you_mean
from archdsl.train.data.digits import open_digits
from archdsl.train.data.fake import open_fake
from archdsl.train.data.folder import is_image_folder, open_folder
from archdsl.train.data.images import ImageData
from archdsl.train.data.known import KNOWN, open_known
from archdsl.train.data.own import open_own
from archdsl.train.data.preparation import check_input
from archdsl.train.data.shards import open_shards
from archdsl.train.errors import TrainError

#: What `data` and `--data` take, as a user writes it.
DATA_NAMES = (
    "digits",
    *KNOWN,
    "imagenet",
    "folder:PATH",
    "webdataset:TRAIN,VALIDATION",
    "fake:N",
    "module:function",
)

#: Those without an argument.
_PLAIN = ("digits", "imagenet", *KNOWN)

_FAKE_CLASSES = 10


def open_data(
    name: str,
    *,
    input: Volume,
    augment: tuple[Augmentation, ...] = (),
    seed: int = 0,
    root: Path = Path("data"),
    download: bool = False,
    skip_broken: bool = False,
    classes: int | None = None,
) -> ImageData:
    """Opens the data of a name, each image brought to the network's ``input`` volume.

    Images a little smaller than the input are padded, all others resized and cut to their centre;
    grey and coloured ones are converted to the input's 1 or 3 channels. ``augment`` changes only
    the training images, in its order and before they are normalized; its randomness is torch's.

    ``root`` is where torchvision's sets are, and where ``download`` puts them; without that nothing
    is ever fetched. ``skip_broken`` concerns files: the next good image takes the place of a
    broken one, and ``ImageData.broken`` tells which were met. ``classes`` (by default 10) concern
    ``webdataset:`` and ``fake:``, and ``seed`` the latter; the held-out digits are the same 1,000
    whatever the seed.

    Raises ``TrainError`` for an unknown name, data that is absent, empty, damaged or unreadable, an
    input that is not an image, or an augmentation the input does not allow.
    """
    check_input(input)
    kind, colon, rest = name.partition(":")
    match kind, colon, rest:
        case "digits", "", _:
            return open_digits(input, augment)
        case "imagenet", "", _:
            if not is_image_folder(root / "imagenet"):
                raise TrainError(
                    "imagenet is not fetched: name its folder with `--data folder:PATH`, where "
                    f"PATH holds train/CLASS/ and val/CLASS/, or put it into {root / 'imagenet'}"
                )
            return open_folder(name, root / "imagenet", input, augment, skip_broken)
        case "folder", ":", path if path:
            return open_folder(name, Path(path).expanduser(), input, augment, skip_broken)
        case "webdataset", ":", patterns if patterns:
            return open_shards(
                name,
                patterns,
                _FAKE_CLASSES if classes is None else classes,
                input,
                augment,
                root=root,
                download=download,
                skip_broken=skip_broken,
            )
        case "fake", ":", count:
            wanted = _FAKE_CLASSES if classes is None else classes
            return open_fake(name, count, wanted, seed, input, augment)
        case _, "", _ if kind in KNOWN:
            return open_known(name, root, download, input, augment)
        case module, ":", function if module and function and module not in _PLAIN:
            return open_own(name, module, function, input, augment)
    raise TrainError(f"there is no data `{name}`: {_suggestion(name)}")


def is_own(name: str) -> bool:
    """Whether a name is that of a function of the user's."""
    kind, colon, _ = name.partition(":")
    return bool(colon) and kind not in {known.partition(":")[0] for known in DATA_NAMES[:-1]}


def _suggestion(name: str) -> str:
    kind, colon, _ = name.partition(":")
    if kind in _PLAIN and colon:
        return f"write `{kind}` alone"
    for full in DATA_NAMES:
        if kind == full.partition(":")[0]:
            return f"write `{full}`"
    return did_you_mean(kind, _PLAIN) or f"known are {', '.join(DATA_NAMES)}"
