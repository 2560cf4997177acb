"""How many numbers are read on pages of print that hold none.

    python -m tests.benchmarks.print_pages [--pages 24]

The words are those of the project's own README, its digits and code left out, in the pinned families that train
nothing. A page is A5 at 300 dpi. The same arguments draw the same pages.
"""

# ruff: noqa: T201  what is measured is printed

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from docscan.pipeline import read_page
from docscan.records import Number, Page
from docscan.settings import Settings
from docscan.stages.classify import load_model
from training.fonts import CACHE, HELD_OUT, faces, families, fetch

SEED = 5
TEXT = Path(__file__).parents[2] / "README.md"
SIZE_PX, MARGIN_PX, DPI = (1748, 2480), 120, 300
LETTER_PX = (30, 60)  # the em: 7 to 14 points
GRAIN = 6.0


def words_of(markdown: str) -> list[str]:
    """The words of a text as they are printed: no code, no tables, nothing that holds a digit."""
    prose = re.sub(r"```.*?```|`[^`]*`|^\|.*$|\[|\]\([^)]*\)|[*#>]", " ", markdown, flags=re.DOTALL | re.MULTILINE)
    return [word for word in prose.split() if re.fullmatch(r"[\"(]?[A-Za-z'’-]+[\").,:;?!]*", word)]


def page_of_print(words: Sequence[str], face: ImageFont.FreeTypeFont, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A page (H, W) full of lines of `words`, from one of them on, scanned."""
    font = face.font_variant(size=int(rng.integers(*LETTER_PX)))
    image = Image.new("L", SIZE_PX, 255)
    pen, place = ImageDraw.Draw(image), int(rng.integers(len(words)))
    width, bottom = SIZE_PX[0] - 2 * MARGIN_PX, SIZE_PX[1] - 2 * MARGIN_PX
    ink = int(rng.integers(0, 80))
    for top in range(MARGIN_PX, bottom, round(1.5 * font.size)):
        line = words[place % len(words)]
        while font.getlength(longer := f"{line} {words[(place := place + 1) % len(words)]}") < width:
            line = longer
        pen.text((MARGIN_PX, top), line, font=font, fill=ink)
    gray = np.asarray(image, np.float32) + rng.normal(0, GRAIN, SIZE_PX[::-1])
    return np.clip(gray, 0, 255).astype(np.uint8)


def held_out_faces(cache: Path) -> Iterator[ImageFont.FreeTypeFont]:
    """The upright face of every family that trains nothing."""
    for family in families()[::HELD_OUT]:
        yield next(faces(fetch(family, cache)))


def summary(pages: Sequence[Sequence[Number]]) -> str:
    """How many false numbers a page that is, and how many of them nobody would look at."""
    numbers = [number for page in pages for number in page]
    unseen = sum(not number.review for number in numbers)
    worst = max(map(len, pages))
    return (
        f"{len(pages)} pages of print: {len(numbers) / len(pages):.2f} false numbers a page, "
        f"{unseen / len(pages):.2f} of them accepted unseen; {worst} on the worst page, "
        f"none on {sum(not page for page in pages)}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, read, count."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.print_pages", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--pages", type=int, default=24, help="how many (24), each in a face of its own")
    parser.add_argument("--fonts", type=Path, default=CACHE, help=f"where fetched fonts are kept ({CACHE})")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    model, words = load_model(), words_of(TEXT.read_text(encoding="utf-8"))
    fonts = list(held_out_faces(options.fonts))
    pages = [
        page_of_print(words, fonts[number % len(fonts)], np.random.default_rng((SEED, number)))
        for number in range(options.pages)
    ]
    print(summary([read_page(Page(gray, float(DPI)), model, Settings()).numbers for gray in pages]))


if __name__ == "__main__":
    main()
