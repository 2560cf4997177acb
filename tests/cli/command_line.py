"""Pages drawn, and the command run, by tests."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SEVEN = np.array([(0, 0), (36, 0), (14, 60)], np.int32)
ONE = np.array([(18, 0), (18, 60)], np.int32)

Docscan = Callable[..., subprocess.CompletedProcess[str]]


def png(numbers: list[str], height: int = 600) -> bytes:
    """A page with these numbers, one a line; they are made of ones and sevens."""
    gray = np.full((height, 500), 255, np.uint8)
    for line, number in enumerate(numbers):
        for place, digit in enumerate(number):
            corners = {"1": ONE, "7": SEVEN}[digit] + (60 + 50 * place, 50 + 120 * line)
            cv2.polylines(gray, [corners], isClosed=False, color=0, thickness=7, lineType=cv2.LINE_AA)
    return encoded(gray, ".png")


def encoded(gray: NDArray[np.uint8], suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, gray)[1].tobytes())


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", "from docscan.cli import main; main()", *map(str, arguments)]


def clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCSCAN_")}
    return kept | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "200"}
