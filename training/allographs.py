"""The shapes people give each digit, as pen strokes: the project's own drawings, no data set (letters.py: the others).

A drawing is the points the pen passes, in hundredths of the digit's height: x to the right, y down from the top.
A smooth curve runs through them; `!` marks a corner, `|` lifts the pen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Allograph:
    """One way to write a digit."""

    name: str
    usual: float
    """How often hands use it, against the digit's other shapes."""
    strokes: tuple[NDArray[np.float64], ...]
    """Each (N, 2): x, y of the points the pen passes, the digit's height being 1. A point given twice is a corner."""


_DRAWINGS: dict[int, tuple[tuple[str, float, str], ...]] = {
    0: (
        ("closed", 5, "42,2 20,4 4,28 3,66 20,96 42,96 57,70 57,30 42,5 34,1"),
        ("narrow", 2, "32,4 14,4 4,30 4,70 14,96 28,97 39,70 39,28 30,4"),
        ("overrun", 2, "42,-5 20,5 4,28 3,66 18,94 40,96 56,70 56,34 44,10 27,15"),
        ("open", 1.5, "36,4 15,9 3,34 3,68 18,95 40,97 56,74 58,46 54,24"),
        ("crossed", 1, "42,3 20,3 4,28 3,66 20,96 42,96 57,70 57,30 40,2 | 62,4 30,50 -2,96"),
        ("from-side", 1, "1,42 4,72 22,98 44,94 58,66 56,28 38,3 16,8 2,46"),
    ),
    1: (
        ("plain", 4, "12,0 11,50 10,100"),
        ("bowed", 1, "12,0 15,40 13,75 6,100"),
        ("flagged", 4, "2,24 16,12 26,0! 25,50 24,100"),
        ("long-flag", 2, "-6,46 14,22 30,0! 29,50 28,100"),
        ("based", 2, "6,24 28,0! 28,50 27,100 | 4,100 27,99 52,99"),
        ("one-stroke-based", 0.5, "8,20 27,0! 25,97! 6,99! 48,97"),
    ),
    2: (
        ("angular", 4, "4,22 16,4 38,1 53,18 46,45 24,74 2,99! 30,98 60,96"),
        ("looped", 3, "5,20 20,2 42,4 52,22 43,50 24,80 10,96 1,92 5,81 20,84 36,97 52,99 64,90"),
        ("z-like", 1, "3,7 26,3 52,4! 30,45 2,97! 57,95"),
        ("curled", 1.5, "18,30 6,26 8,10 28,0 50,12 50,36 32,66 4,97! 22,90 40,97 60,95"),
        ("swan", 1, "6,20 22,2 45,8 48,32 30,62 8,90 16,94 36,90 62,98"),
    ),
    3: (
        ("round", 5, "5,14 22,0 44,6 47,26 34,42 19,47! 42,50 54,70 44,93 22,100 1,88"),
        ("flat-top", 2, "5,3 26,2 50,2! 37,20 24,38! 46,46 54,68 44,92 22,100 1,90"),
        ("looped", 1.5, "6,10 26,0 45,10 42,30 24,45 14,44 20,38 42,50 53,70 42,94 20,99 0,86"),
        ("smooth", 1, "8,8 30,0 47,14 42,34 30,46 44,56 52,74 40,96 16,100 0,92"),
    ),
    4: (
        ("open", 4, "12,4 8,34 3,58! 30,57 62,55 | 44,22 43,60 40,100"),
        ("open-tall", 2, "10,5 6,32 4,52! 26,54 55,50 | 50,0 48,50 46,100"),
        ("closed", 3, "44,0 24,34 2,66! 30,66 64,65 | 44,0 44,50 43,100"),
        ("closed-one-stroke", 1, "40,62 20,63 3,60! 22,32 44,2! 42,50 39,100"),
        ("u-shaped", 1.5, "8,4 3,30 10,48 30,50 52,42 | 53,4 50,50 44,100"),
        ("lightning", 1, "30,0 16,30 2,60! 30,56 58,52 | 42,34 36,70 32,100"),
        # Below 1.5, where tidy hands begin: samples/ is drawn by those and stays as it is.
        ("short-stem", 1.4, "40,0 20,30 5,62 9,80 28,83 60,75 | 40,64 40,82 39,100"),
        ("round-and-short", 1, "42,0 18,32 3,64 10,82 32,83 50,75 60,62 | 36,58 37,81 38,100"),
    ),
    5: (
        ("bar-apart", 3, "13,5 12,25 10,45! 32,38 53,52 54,78 32,98 2,92 | 13,4 34,3 58,0"),
        ("one-stroke", 3, "56,2 34,3 14,5! 12,25 10,45! 32,38 53,52 54,78 32,98 2,92"),
        ("hooked", 1.5, "56,6 36,3 20,6 12,22 12,40 30,42 50,56 50,82 28,100 2,90"),
        ("s-like", 1.5, "56,6 34,1 16,10 14,28 30,43 48,58 50,80 30,98 2,94"),
        ("bar-adrift", 1, "12,10 11,28 10,45! 32,38 53,52 54,78 32,98 2,92 | 20,3 40,2 62,-3"),
    ),
    6: (
        ("straight", 3, "44,0 24,26 8,56 5,82 22,100 45,93 53,72 40,55 20,60 7,78"),
        ("curled", 3, "52,12 42,1 24,10 8,40 4,75 20,99 44,95 54,74 40,54 20,58 6,76"),
        ("b-like", 1, "12,0 6,40 5,78 20,99 42,94 48,74 34,58 16,64 6,78"),
        ("ring-end", 1.5, "40,0 16,30 3,66 14,96 38,98 52,78 42,60 24,62 17,78 26,90"),
    ),
    7: (
        ("plain", 3, "2,5 28,3 55,2! 38,45 20,100"),
        ("barred", 3, "2,6 28,3 56,2! 38,45 22,100 | 16,52 34,49 54,47"),
        ("hooked", 2, "3,22 6,4! 30,5 57,2! 40,40 24,100"),
        ("wavy", 1.5, "0,16 10,3 30,10 55,2! 38,36 28,66 26,100"),
        ("hooked-barred", 1, "4,20 5,4! 30,6 58,2! 40,44 26,100 | 20,50 38,50 56,47"),
        ("round-shouldered", 1, "2,8 26,2 48,6 50,20 36,55 24,100"),
    ),
    8: (
        ("one-stroke", 4, "48,14 30,0 10,10 10,30 28,46 48,64 50,86 28,100 6,88 8,66 28,48 46,32 50,16 42,6"),
        (
            "two-circles",
            2,
            "31,48 46,36 48,20 38,3 20,2 9,18 11,38 24,47 33,47 | 28,46 9,56 3,78 14,97 38,98 53,82 49,57 26,46",
        ),
        ("open-top", 1.5, "46,4 24,2 10,16 18,36 36,52 48,72 40,95 16,98 5,80 16,60 38,38 54,10"),
        ("from-middle", 1, "28,48 10,34 10,12 30,0 48,12 44,32 26,48 6,66 6,88 28,100 50,88 48,64 28,47"),
    ),
    9: (
        ("straight-leg", 4, "50,16 34,2 10,12 5,34 20,48 40,40 51,16! 50,55 46,100"),
        ("curved-tail", 2, "50,16 34,2 10,12 5,34 20,48 40,40 51,16 53,50 46,86 26,100 6,93"),
        ("hooked-tail", 1, "50,16 34,2 10,12 5,34 20,48 40,40 51,16 54,50 50,86 30,100 10,90 14,78"),
        ("leaning-leg", 1.5, "50,16 34,2 10,12 5,34 20,48 40,40 51,16 46,50 32,80 16,100"),
        ("circle-and-leg", 1, "50,16 39,3 22,0 7,9 2,26 9,42 24,50 41,46 51,32 50,14 | 52,6 52,50 49,100"),
        ("open-head", 1, "44,5 22,4 5,24 16,45 38,40 52,12! 51,50 46,100"),
    ),
}


def read_drawing(drawing: str) -> tuple[NDArray[np.float64], ...]:
    """The strokes of a drawing in this module's notation, each (N, 2): x, y, with 1 for a digit's height."""
    strokes = []
    for stroke in drawing.split("|"):
        points = []
        for point in stroke.split():
            x, y = point.rstrip("!").split(",")
            points += [(float(x) / 100, float(y) / 100)] * (2 if point.endswith("!") else 1)
        strokes.append(np.array(points))
    return tuple(strokes)


ALLOGRAPHS = {
    digit: tuple(Allograph(name, usual, read_drawing(drawing)) for name, usual, drawing in drawings)
    for digit, drawings in _DRAWINGS.items()
}
"""Digit -> its shapes."""
