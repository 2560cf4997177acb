"""Real pages as they would have come from another hand, scanner or phone: how many of their numbers are found.

    python -m tests.benchmarks.retaken --pages ../shared/pages [--ways "half as large" "on their left side"]

The images beside `*.truth.txt` files, each taken anew in every way. Numbers read where none stands count too, and those
accepted unseen at `--max-error 0.001` that are not in the truth: on some pages those are printed ones nobody listed.
The same arguments take the same pictures.
"""

# ruff: noqa: T201  what is measured is printed

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.pipeline import read_page
from docscan.records import Page
from docscan.settings import ReviewSettings, Settings
from docscan.stages.classify import DigitModel, load_model
from training.mistakes import EXTRA, RIGHT, Case, Scan, judge_page, scans_in

SEED = 1

Gray = NDArray[np.uint8]


def _scaled(gray: Gray, by: float) -> Gray:
    how = cv2.INTER_AREA if by < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(gray, None, fx=by, fy=by, interpolation=how), np.uint8)


def _jpeg(gray: Gray, quality: int) -> Gray:
    stored = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE), np.uint8)


def _skewed(gray: Gray, degrees: float) -> Gray:
    height, width = gray.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(gray, turn, (width, height), borderValue=float(np.median(gray))), np.uint8)


def _in_perspective(gray: Gray, share: float) -> Gray:
    height, width = gray.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [width, height]
    moved = corners + np.random.default_rng(SEED).uniform(0, share, (4, 2)) * inwards
    seen = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return np.asarray(cv2.warpPerspective(gray, seen, (width, height), borderValue=float(np.median(gray))), np.uint8)


def _in_shadow(gray: Gray) -> Gray:
    down, along = (np.linspace(0, 1, side) for side in gray.shape)
    return (gray * (0.45 + 0.33 * along + 0.22 * down[:, np.newaxis])).astype(np.uint8)


def _grainy(gray: Gray, deviation: float) -> Gray:
    grain = np.random.default_rng(SEED).normal(0, deviation, gray.shape)
    return np.clip(gray + grain, 0, 255).astype(np.uint8)


def _specked(gray: Gray, share: float) -> Gray:
    return np.where(np.random.default_rng(SEED).random(gray.shape) < share, np.uint8(0), gray)


def _fax(gray: Gray) -> Gray:
    mean, dark_is_black = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY
    return np.asarray(cv2.adaptiveThreshold(_scaled(gray, 0.6), 255, mean, dark_is_black, 31, 12), np.uint8)


def _on_a_table(gray: Gray) -> Gray:
    beside = round(0.12 * max(gray.shape))
    return np.asarray(cv2.copyMakeBorder(gray, *[beside] * 4, cv2.BORDER_CONSTANT, value=(45.0,)), np.uint8)


WAYS: dict[str, Callable[[Gray], Gray]] = {
    "as they are": lambda gray: gray,
    "on their left side": lambda gray: np.rot90(gray, 1),
    "upside down": lambda gray: np.rot90(gray, 2),
    "on their right side": lambda gray: np.rot90(gray, 3),
    "askew by 4 degrees": lambda gray: _skewed(gray, 4),
    "askew by 9 degrees": lambda gray: _skewed(gray, -9),
    "in perspective": lambda gray: _in_perspective(gray, 0.04),
    "twice as large": lambda gray: _scaled(gray, 2),
    "0.7 as large": lambda gray: _scaled(gray, 0.7),
    "half as large": lambda gray: _scaled(gray, 0.5),
    "a third as large": lambda gray: _scaled(gray, 0.35),
    "blurred": lambda gray: np.asarray(cv2.GaussianBlur(gray, (0, 0), 1.5), np.uint8),
    "moved": lambda gray: np.asarray(cv2.blur(gray, (7, 1)), np.uint8),
    "grainy": lambda gray: _grainy(gray, 14),
    "JPEG of quality 25": lambda gray: _jpeg(gray, 25),
    "JPEG of quality 10": lambda gray: _jpeg(gray, 10),
    "specked": lambda gray: _specked(gray, 0.0005),
    "black and white, as a fax": _fax,
    "pale": lambda gray: (255 - 0.4 * (255.0 - gray)).astype(np.uint8),
    "half as bright": lambda gray: gray // 2,
    "in a shadow": _in_shadow,
    "light on dark": lambda gray: 255 - gray,
    "on a dark table": _on_a_table,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What came of all pages taken in one way."""

    share: float
    """Of their numbers, the mean of the kinds."""
    worst: str
    """The kind least of whose numbers were found,"""
    least: float
    """and how many."""
    extra: int
    """Read where none stands."""
    accepted: int
    unlisted: int
    """Those accepted that are not in the truth."""


def measure(scans: Sequence[Scan], take: Callable[[Gray], Gray], model: DigitModel) -> Found:
    """Read all scans, each taken anew."""
    settings = Settings(review=ReviewSettings(max_error=0.001))
    cases: dict[str, list[Case]] = {scan.kind: [] for scan in scans}
    for scan in scans:
        gray = np.ascontiguousarray(take(scan.page.gray))
        cases[scan.kind] += judge_page(scan.numbers, read_page(Page(gray), model, settings).numbers, gray)
    shares = {
        kind: sum(case.kind == RIGHT for case in own) / max(1, sum(case.kind != EXTRA for case in own))
        for kind, own in cases.items()
    }
    worst = min(shares, key=lambda kind: shares[kind])
    everything = [case for own in cases.values() for case in own]
    accepted = [case for case in everything if case.is_accepted]
    return Found(
        float(np.mean(list(shares.values()))),
        worst,
        shares[worst],
        sum(case.kind == EXTRA for case in everything),
        len(accepted),
        sum(case.kind != RIGHT for case in accepted),
    )


def row(way: str, found: Found) -> str:
    """What was found of pages taken in one way."""
    return (
        f"| {way} | {found.share:.3f} | {found.least:.2f} ({found.worst}) | {found.extra} | "
        f"{found.accepted} | {found.unlisted} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Take, read, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.retaken", description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=Path, required=True, help="a folder of images beside <image>.truth.txt")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="some of them")
    options = parser.parse_args(arguments)
    model, scans = load_model(), list(scans_in(options.pages))
    print(
        "| taken | numbers found | fewest, of a kind | read where none stands | accepted | of them not in the truth |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for way in options.ways:
        print(row(way, measure(scans, WAYS[way], model)), flush=True)


if __name__ == "__main__":
    main()
