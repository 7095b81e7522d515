"""``archdsl look``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from archdsl.cli.extras import needing
from archdsl.cli.files import write_files
from archdsl.cli.lazy_help import HelpedCommand
from archdsl.cli.options import checkpoint_option
from archdsl.cli.pictures import fonts_option
from archdsl.cli.terminal import print_text
from archdsl.drawing.canvas.palette import THEMES, Theme
from archdsl.report.text import printable

if TYPE_CHECKING:
    from archdsl.drawing.canvas.marks import Picture
    from archdsl.drawing.canvas.typeface import Fonts
    from archdsl.looking.specimen import Specimen

FOLDER = "drawings"
FORMATS = ("svg", "png", "pdf", "html")
#: What says on what the answer depends, and needs Captum.
_METHODS = ("saliency", "integrated-gradients", "grad-cam", "occlusion")


@click.command(cls=HelpedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("image", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A file that ends in .svg, .png, .pdf or .html.  [default: drawings/RUN-IMAGE.svg]",
)
@click.option(
    "--channels",
    metavar="N",
    type=click.IntRange(1, 4096),
    help="Maps of each stage, the largest activation first.  [default: 8; all with --part]",
)
@click.option(
    "--part", metavar="NAME", help="Show this part, or layer, in full; or use its maps or filters."
)
@click.option("--filters", is_flag=True, help="The filters of the first convolution.")
@click.option("--saliency", is_flag=True, help="The size of the gradient of the class's score.")
@click.option(
    "--integrated-gradients", is_flag=True, help="Gradients added up on the way from a black image."
)
@click.option("--grad-cam", is_flag=True, help="The places where maps speak for the class.")
@click.option("--occlusion", is_flag=True, help="The places that must not be hidden.")
@click.option(
    "--class",
    "wanted",
    metavar="NAME",
    help="The class that a method is about, by name or number.  [default: the most probable]",
)
@click.option(
    "--window",
    metavar="N",
    type=click.IntRange(1),
    help="Pixels of the square that hides.  [default: a seventh of the input]",
)
@click.option(
    "--stride",
    metavar="N",
    type=click.IntRange(1),
    help="Pixels that it moves by.  [default: half the window]",
)
@click.option(
    "--samples",
    metavar="N",
    type=click.IntRange(0, 100),
    help="Pictures of the validation that a page has to begin with.  [default: 10]",
)
@checkpoint_option
@click.option(
    "--theme",
    type=click.Choice(THEMES),
    default="auto",
    show_default=True,
    help="The colours of lines and text; `auto` follows the reader's page in SVG.",
)
@fonts_option
@click.option(
    "--spec",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The spec that was trained, where it uses other files.  [default: RUN/spec.arch]",
)
@click.pass_context
def look(
    ctx: click.Context,
    /,
    run: Path,
    image: Path | None,
    output: Path | None,
    weights: Literal["best", "last"],
    theme: Theme,
    fonts: Fonts,
    spec: Path | None,
    **choices: Any,
) -> None:
    """Show what each stage of a trained network makes of an image, and what its answer depends on.

    RUN is a folder that `archdsl train` wrote. The picture has the input as the network sees it,
    the feature maps of each part, vectors as bars, and the five most probable classes; or what a
    method says about the answer. Methods other than --filters need the extra `archdsl[look]`.

    A file that ends in .html is a page in which the network runs: draw on it, or open an image,
    and see the maps change with each stroke. Making it needs `archdsl[look]`, opening it a browser
    and nothing else: it loads no other file, and no image leaves it.

    \b
    archdsl look runs/lenet5 seven.png                drawings/lenet5-seven.svg
    archdsl look runs/lenet5 seven.png -o seven.pdf   the format by the ending
    archdsl look runs/vgg16 cat.jpg --channels 16
    archdsl look runs/vgg16 cat.jpg --part features.0
    archdsl look runs/vgg16 --filters
    archdsl look runs/lenet5 -o lenet5.html           a page to draw on
    archdsl look runs/vgg16 cat.jpg --grad-cam --class dog
    archdsl look runs/vgg16 cat.jpg --occlusion --window 32 --stride 8

    Exit codes: 0 done, 2 a wrong call, or a folder or an image at fault.
    """
    wanted = _Wanted(image, **choices)
    path = output or Path(FOLDER) / f"{'-'.join([run.resolve().name, *wanted.words])}.svg"
    format = _format(ctx, path)
    wanted.refuse_misfits(ctx, is_page=format == "html")
    if fonts != "embed" and format != "svg":
        raise click.UsageError(f"--fonts says nothing about {format}: it is for an SVG", ctx)
    with needing("train", "looking into a network"):
        from archdsl.drawing import render_picture
        from archdsl.looking.specimen import open_specimen

        specimen = open_specimen(run, weights, spec)
        if format == "html":
            content = _page(specimen, wanted, theme)
        else:
            content = render_picture(_draw(specimen, wanted), format, theme, fonts)
    write_files({path: content})
    print_text(printable(path.as_posix()))


@dataclass(frozen=True)
class _Wanted:
    """What a call wants to see."""

    image: Path | None
    channels: int | None
    part: str | None
    filters: bool
    saliency: bool
    integrated_gradients: bool
    grad_cam: bool
    occlusion: bool
    wanted: str | None
    window: int | None
    stride: int | None
    samples: int | None

    @property
    def methods(self) -> list[str]:
        """The methods that are asked for: one, if the call is right."""
        return [name for name in ("filters", *_METHODS) if getattr(self, name.replace("-", "_"))]

    @property
    def words(self) -> list[str]:
        """What makes the name of the file, behind the run's."""
        words = [self.image.stem if self.image else "", self.part or "", *self.methods]
        return [word.replace("/", "-") for word in words if word]

    def refuse_misfits(self, ctx: click.Context, *, is_page: bool) -> None:
        """Raises ``UsageError`` for options that do not go together."""
        methods = self.methods
        if len(methods) > 1:
            both = " and ".join(f"--{name}" for name in methods)
            raise click.UsageError(f"{both} are different pictures: ask for one", ctx)
        method = methods[0] if methods else ""
        if is_page and method:
            raise click.UsageError(f"--{method} is a picture: name an SVG, PNG or PDF", ctx)
        if self.image is None and method != "filters" and not is_page:
            raise click.UsageError("Missing argument 'IMAGE'.", ctx)
        if self.image is not None and method == "filters":
            raise click.UsageError("--filters shows weights, which are the same for any image", ctx)
        is_attribution = method in _METHODS
        for option, value, fits in (
            ("channels", self.channels, not is_attribution),
            ("part", self.part, method in ("", "filters", "grad-cam")),
            ("class", self.wanted, is_attribution),
            ("window", self.window, method == "occlusion"),
            ("stride", self.stride, method == "occlusion"),
            ("samples", self.samples, is_page),
        ):
            if value is not None and not fits:
                place = f"--{method}" if method else "feature maps"
                place = "a picture" if option == "samples" else place
                raise click.UsageError(f"--{option} says nothing about {place}", ctx)


def _draw(specimen: Specimen, wanted: _Wanted) -> Picture:
    if wanted.filters:
        from archdsl.looking.filters import draw_filters

        return draw_filters(specimen, wanted.part, wanted.channels)
    assert wanted.image is not None
    if wanted.methods:
        return _attribution(specimen, wanted, wanted.image, wanted.methods[0])
    return _activations(specimen, wanted, wanted.image)


def _page(specimen: Specimen, wanted: _Wanted, theme: Theme) -> bytes:
    from archdsl.looking.stages import find_stage

    part = find_stage(specimen.model, wanted.part) if wanted.part is not None else None
    with needing("look", "a page that runs a network"):
        from archdsl.looking.live import SAMPLES, render_live_page

        page = render_live_page(
            specimen,
            image=wanted.image,
            part=part,
            channels=wanted.channels,
            samples=SAMPLES if wanted.samples is None else wanted.samples,
            theme=theme,
        )
    return page.encode("utf-8")


def _activations(specimen: Specimen, wanted: _Wanted, image: Path) -> Picture:
    from archdsl.looking.activations import record_activations
    from archdsl.looking.part import draw_part
    from archdsl.looking.pipeline import CHANNELS, draw_pipeline
    from archdsl.looking.stages import choose_stages, find_stage

    model, channels = specimen.model, wanted.channels
    part = find_stage(model, wanted.part) if wanted.part is not None else None
    activations = record_activations(specimen, specimen.finished.prepare(image))
    if part is not None:
        return draw_part(specimen, activations, part, image_name=image.name, channels=channels)
    return draw_pipeline(
        specimen,
        activations,
        choose_stages(model),
        image_name=image.name,
        channels=channels or CHANNELS,
    )


def _attribution(specimen: Specimen, wanted: _Wanted, image: Path, method: str) -> Picture:
    specimen.refuse_without_classes()
    prepared = specimen.finished.prepare(image)
    target = None if wanted.wanted is None else specimen.class_index(wanted.wanted)
    if target is None:
        target = int(specimen.finished.probabilities(prepared[None])[0].argmax())
    with needing("look", f"--{method}"):
        from archdsl.looking.attribution import METHODS

        more: dict[str, Any] = {}
        if method == "grad-cam":
            more = {"part": wanted.part}
        elif method == "occlusion":
            more = {"window": wanted.window, "stride": wanted.stride}
        found = METHODS[method](specimen, prepared, target, **more)
        from archdsl.looking.heat import draw_attribution

        return draw_attribution(specimen, prepared, found, image_name=image.name)


def _format(ctx: click.Context, path: Path) -> str:
    """The format that the file's ending names."""
    ending = path.suffix.removeprefix(".").lower()
    if ending in FORMATS:
        return ending
    shown = printable(path.as_posix())
    raise click.UsageError(f"{shown!r} does not end in .svg, .png, .pdf, .html", ctx)
