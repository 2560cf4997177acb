"""Draws pages of handwritten numbers with known truth, from the project's own pen strokes.

    python -m training.synthesis --kind all --count 4 --out drawn/
    python -m training.synthesis --kind table --digits mnist --data ../shared/data --out drawn/
    python -m training.synthesis --samples samples/

hand.py writes digits, layouts.py plans pages, pages.py inks and scans them, sample_pages.py draws samples/.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from training.data import load_mnist
from training.hand import Writer, draw_digit
from training.pages import KINDS, DigitSource, DrawnPage, crop_source, draw_page
from training.sample_pages import draw_samples

__all__ = ["KINDS", "DrawnPage", "Writer", "draw_digit", "draw_page"]


def truth_row(page: DrawnPage, name: str) -> str:
    """One line of truth.jsonl: the file, its kind, and its numbers with their tight boxes."""
    numbers = [
        {"text": number.text, "x": box.left, "y": box.top, "w": box.width, "h": box.height}
        for number in page.numbers
        for box in [number.box]
    ]
    return json.dumps({"file": name, "kind": page.kind, "numbers": numbers})


def draw_pages(kinds: list[str], count: int, out: Path, *, dpi: int, seed: int, source: DigitSource | None) -> None:
    """Write `count` pages of each kind as PNG, and truth.jsonl."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind in kinds:
        for index in range(count):
            rng = np.random.default_rng([seed, list(KINDS).index(kind), index])
            page = draw_page(kind, rng, dpi=dpi, digits_source=source)
            name = f"{kind}-{index:04d}.png"
            Image.fromarray(page.image).save(out / name, dpi=(dpi, dpi), compress_level=3)
            rows.append(truth_row(page, name))
    (out / "truth.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")


def main() -> None:
    """Draw pages from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.synthesis", description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", default="all", choices=["all", *KINDS], help="kind of page (all)")
    parser.add_argument("--count", type=int, default=1, help="pages of each kind (1)")
    parser.add_argument("--out", type=Path, help="folder for the pages and truth.jsonl")
    parser.add_argument("--dpi", type=int, default=300, help="resolution (300)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same pages (1)")
    parser.add_argument(
        "--digits", choices=["own", "mnist"], default="own", help="drawn strokes, or MNIST's test digits"
    )
    parser.add_argument("--data", type=Path, help="folder of MNIST's idx files, for --digits mnist")
    parser.add_argument("--samples", type=Path, help="draw the project's samples into this folder instead")
    options = parser.parse_args()
    if options.samples is not None:
        draw_samples(options.samples)
        return
    if options.out is None:
        parser.error("--out or --samples is needed")
    source = None
    if options.digits == "mnist":
        test = load_mnist(options.data).test
        source = crop_source(test.images, test.labels)
    kinds = list(KINDS) if options.kind == "all" else [options.kind]
    draw_pages(kinds, options.count, options.out, dpi=options.dpi, seed=options.seed, source=source)


if __name__ == "__main__":
    main()
