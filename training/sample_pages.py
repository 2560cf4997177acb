"""Fixed seeds -> samples/: for each sample its page, expected.csv and note.md. Nothing in them is out of a data set."""

import csv
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training import layouts
from training.hand import Writer
from training.layouts import Sheet
from training.pages import KINDS, DrawnPage, Look, draw_page, hand_source

COLUMNS = ["source", "page", "text", "x", "y", "width", "height"]
A6 = Sheet(width=105, height=148, margin=8, digit=4.6, lines=2.2)
EPOCH = time.gmtime(0)  # a PDF states when it was made; samples are rebuilt the same

Pixels = NDArray[np.uint8]


def as_bilevel(pages: list[Pixels]) -> list[Image.Image]:
    """Black and white, as an office scanner's text mode gives."""
    return [Image.fromarray(page).point(lambda level: 255 if level > 150 else 0, mode="1") for page in pages]


def as_levels(pages: list[Pixels]) -> list[Image.Image]:
    """Sixteen gray levels: small files that keep soft edges."""
    return [
        Image.fromarray(page).quantize(16, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        for page in pages
    ]


def as_inverse(pages: list[Pixels]) -> list[Image.Image]:
    """White on black."""
    return as_levels([255 - page for page in pages])


def as_photo(pages: list[Pixels]) -> list[Image.Image]:
    """Every level, for JPEG."""
    return [Image.fromarray(page) for page in pages]


@dataclass(frozen=True, slots=True)
class Sample:
    """One folder of samples/."""

    name: str
    file: str
    kind: str
    seed: int
    note: str
    """What is hard about it."""
    pages: int = 1
    dpi: int = 200
    sheet: Sheet = A6
    look: Look | None = None
    encode: Callable[[list[Pixels]], list[Image.Image]] = as_levels


SAMPLES = (
    Sample(
        "clean", "page.png", "clean", 11, "Plain paper, dark ink, even light: anything wrong here is wrong everywhere."
    ),
    Sample(
        "ruled-lines",
        "page.png",
        "ruled",
        12,
        "Lined paper. The lines are as long as the page and must not become digits.",
    ),
    Sample(
        "table",
        "page.png",
        "table",
        13,
        "A ruled table; some cells are empty, and the lines must not become digits.",
        look=replace(KINDS["table"], layout=partial(layouts.table, has_words=False)),
    ),
    Sample(
        "boxes",
        "form.png",
        "boxes",
        14,
        "Numbers in boxes, as forms have them.",
        look=replace(KINDS["boxes"], layout=partial(layouts.boxes, has_words=False)),
    ),
    Sample(
        "faint-ink",
        "page.jpg",
        "faint",
        15,
        "A hard pencil on rough paper: little contrast, strokes that break.",
        encode=as_photo,
        look=replace(KINDS["faint"], opacity=(0.42, 0.42), noise=2.0),
    ),
    Sample(
        "uneven-light",
        "photo.jpg",
        "uneven",
        16,
        "Taken with a phone: the shadow is darker than the ink elsewhere.",
        encode=as_photo,
    ),
    Sample(
        "skewed",
        "page.png",
        "skewed",
        17,
        "Fed askew by 2 degrees.",
        look=replace(KINDS["skewed"], skew_deg=(2.0, 2.0)),
    ),
    Sample(
        "multi-page-tiff",
        "ledger.tif",
        "columns",
        18,
        "Three pages in one TIFF, black and white, CCITT group 4.",
        pages=3,
        encode=as_bilevel,
    ),
    Sample(
        "pdf-scan",
        "scan.pdf",
        "ruled",
        19,
        "A PDF of two pages; each is one embedded scan, boxes are in its pixels.",
        pages=2,
        encode=as_photo,
    ),
    Sample(
        "white-on-black",
        "inverse.png",
        "clean",
        20,
        "White on black, as a microfilm or a copied blackboard.",
        encode=as_inverse,
    ),
    Sample("low-resolution", "page.png", "clean", 21, "150 dpi: digits of 27 pixels, strokes of two.", dpi=150),
    Sample(
        "spaces-and-accents",
        "relevé été 2.png",
        "columns",
        22,
        "A file name with spaces and accents.",
    ),
    Sample("coloured-ink", "page.jpg", "coloured", 53, "Coloured ink on coloured lines, in colour.", encode=as_photo),
)


def draw_samples(folder: Path) -> None:
    """Write every sample into its own folder below `folder`."""
    for sample in SAMPLES:
        pages = draw_sample(sample)
        home = folder / sample.name
        home.mkdir(parents=True, exist_ok=True)
        _save(sample, pages, home / sample.file)
        (home / "expected.csv").write_text(expected(sample, pages), encoding="utf-8", newline="")
        (home / "note.md").write_text(_note(sample), encoding="utf-8", newline="\n")


def draw_sample(sample: Sample) -> list[DrawnPage]:
    """The sample's pages with their truth, by a tidy hand each."""
    pages = []
    for index in range(sample.pages):
        rng = np.random.default_rng([sample.seed, index])
        source = hand_source(Writer.random(rng).tidied(rng))
        page = draw_page(sample.kind, rng, dpi=sample.dpi, sheet=sample.sheet, digits_source=source, look=sample.look)
        pages.append(page)
    return pages


def expected(sample: Sample, pages: list[DrawnPage]) -> str:
    """The text of expected.csv: one row a number in reading order, its box in pixels of the scan."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for index, page in enumerate(pages, 1):
        for number in page.numbers:
            box = number.box
            writer.writerow([sample.file, index, number.text, box.left, box.top, box.width, box.height])
    return text.getvalue()


def _save(sample: Sample, pages: list[DrawnPage], path: Path) -> None:
    first, *others = sample.encode([page.image for page in pages])
    resolution = (sample.dpi, sample.dpi)
    match path.suffix:
        case ".tif":
            first.save(path, save_all=True, append_images=others, compression="group4", dpi=resolution)
        case ".pdf":
            first.save(
                path,
                save_all=True,
                append_images=others,
                resolution=sample.dpi,
                creationDate=EPOCH,
                modDate=EPOCH,
                quality=60,
            )
        case ".jpg":
            first.save(path, dpi=resolution, quality=70)
        case _:
            first.save(path, dpi=resolution, optimize=True)


def _note(sample: Sample) -> str:
    drawn = f"{sample.kind}, seed {sample.seed}, {sample.dpi} dpi"
    command = "python -m training.synthesis --samples samples/"
    return f"# {sample.name}\n\n{sample.note}\n\nDrawn by `{command}` ({drawn}); no digit is out of a data set.\n"
