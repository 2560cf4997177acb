"""The reader of strings against strings it never saw: `python -m training.evaluate_strings --data ../shared/data`.

Every picture goes whole through docscan's stages; what counts is the text of the string that holds most of its ink.
Values are compared by their digits: marks are not this reader's business. Held-out cheques (every fifth row) and the
even rows of the log-book cells may be looked at (`--mistakes`); the odd rows only give a figure.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.settings import Settings
from docscan.stages.classify import SHIPPED_STRINGS, StringModel, load_string_model
from docscan.stages.strings import StringReading, Strip
from training.mistakes import held_out_cheques, log_book_cells
from training.strings import main_strip

SURE = 0.9
COLUMNS, CELL_PX = 6, (230, 150)  # of the sheet of mistakes
_GRAY = 128


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One string to read."""

    gray: NDArray[np.uint8]
    digits: str


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What was read of one picture."""

    picture: Picture
    strip: Strip
    reading: StringReading

    @property
    def is_right(self) -> bool:
        """True where every digit is, and no other."""
        return self.reading.text == self.picture.digits


def read_pictures(pictures: Sequence[Picture], model: StringModel) -> list[Read]:
    """Each picture's main string."""
    settings = Settings()
    strips = [main_strip(picture.gray, settings) for picture in pictures]
    return [Read(*columns) for columns in zip(pictures, strips, model.read(strips), strict=True)]


def report_line(name: str, read: Sequence[Read]) -> str:
    """Whole strings right, and how those fare that the reader was sure of."""
    right = np.array([one.is_right for one in read])
    sure = np.array([one.reading.probability > SURE for one in read])
    return (
        f"{name:22s} {len(read):5d} strings  {right.mean():.4f} right  "
        f"over {SURE}: {sure.mean():.4f} of them, {np.count_nonzero(sure & ~right)} wrong"
    )


def milliseconds(read: Sequence[Read], model: StringModel) -> tuple[float, float]:
    """Of one strip on one core: once through the network, and all in."""
    strips = [one.strip for one in read]
    started = time.process_time()
    model.posteriors([strip.pixels for strip in strips])
    networked = time.process_time()
    model.read(strips)
    ended = time.process_time()
    return (networked - started) * 1e3 / len(read), (ended - networked) * 1e3 / len(read)


def sheet(mistakes: Sequence[Read]) -> NDArray[np.uint8]:
    """Every mistake: truth > reading, its probability, the picture and its strip."""
    width, height = CELL_PX
    page = np.full((max(1, -(-len(mistakes) // COLUMNS)) * height, COLUMNS * width), _GRAY, np.uint8)
    for place, one in enumerate(mistakes):
        cell = page[place // COLUMNS * height :, place % COLUMNS * width :][:height, :width]
        title = f"{one.picture.digits}>{one.reading.text} {one.reading.probability:.2f}"
        cv2.putText(cell, title, (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42, 255, 1)
        gray = one.picture.gray
        scale = min((width - 4) / gray.shape[1], (height - 56) / gray.shape[0])
        size = max(1, int(gray.shape[1] * scale)), max(1, int(gray.shape[0] * scale))
        cell[18 : 18 + size[1], 2 : 2 + size[0]] = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        strip = 255 - one.strip.pixels[:, : width - 4, 0]
        cell[height - 34 : height - 2, 2 : 2 + strip.shape[1]] = strip
    return page


def main() -> None:
    """Evaluate from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate_strings", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with train/ and evaluation/")
    parser.add_argument("--model", type=Path, default=SHIPPED_STRINGS, help="a .onnx file (the shipped one)")
    parser.add_argument("--rows", choices=["all", "even", "odd"], default="all", help="of the log-book cells")
    parser.add_argument("--mistakes", type=Path, help="folder for a picture of the mistakes of each set")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    model = load_string_model(options.model)
    sets = {"cheques": held_out_cheques(options.data), "log-book cells": log_book_cells(options.data, options.rows)}
    for name, strings in sets.items():
        read = read_pictures([Picture(*string) for string in strings], model)
        print(report_line(name, read))
        print(
            "{:22s} {:.2f} ms a strip once through the network, {:.2f} ms all in".format("", *milliseconds(read, model))
        )
        if options.mistakes is not None:
            options.mistakes.mkdir(parents=True, exist_ok=True)
            picture = cv2.imencode(".png", sheet([one for one in read if not one.is_right]))[1]
            (options.mistakes / f"{name.replace(' ', '-')}.png").write_bytes(picture.tobytes())


if __name__ == "__main__":
    main()
