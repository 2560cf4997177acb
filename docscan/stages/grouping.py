"""Links between pairs of things -> groups of things: what glyphs.py and the stages after it need."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from docscan.errors import PageError
from docscan.records import Digit, Number

_MOST_PAIRS = 30_000_000  # a page of 2,000 digits has some 100,000; so many take a gigabyte


def boxes_of(things: Iterable[Digit | Number]) -> NDArray[np.int32]:
    """Where digits or numbers are: (N, 4), left, top, right, bottom; half-open, pixels."""
    return np.array([thing.box for thing in things], dtype=np.int32).reshape(-1, 4)


def neighbours(boxes: NDArray[np.int32], reach: NDArray[np.floating]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """For each box, the boxes that start at or right of its left edge and within `reach` of its right edge.

    boxes (N, 4) left, top, right, bottom; reach (N,) pixels. Yields (row, other rows in order of their left edges);
    every pair within reach comes once. Raises PageError on a page so crowded that nobody has written it.
    """
    order = np.argsort(boxes[:, 0], kind="stable")
    ends = _ends_of_reach(boxes, reach, order)
    for place, (row, end) in enumerate(zip(order, ends, strict=True)):
        yield int(row), order[place + 1 : end]


def neighbour_pairs(boxes: NDArray[np.int32], reach: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The same as `neighbours`, all pairs at once: (P,) rows and (P,) the others, in the same order."""
    order = np.argsort(boxes[:, 0], kind="stable")
    places = np.arange(len(boxes))
    ends = _ends_of_reach(boxes, reach, order)
    counts = np.maximum(ends - places - 1, 0)
    first = np.repeat(places, counts)
    second = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts) + first + 1
    return order[first], order[second]


def _ends_of_reach(boxes: NDArray[np.int32], reach: NDArray[np.floating], order: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each box in `order`, of their left edges, the place after the last that is within reach."""
    ends = np.asarray(np.searchsorted(boxes[order, 0], boxes[order, 2] + reach[order], side="right"), dtype=np.intp)
    if int(ends.sum()) - len(ends) * (len(ends) + 1) // 2 > _MOST_PAIRS:
        raise PageError(
            f"{len(boxes):,} pieces of ink crowd the page: noise, a halftone or a photograph, and no writing; "
            "scan it again with less contrast, or leave it out"
        )
    return ends


def group(count: int, links: list[tuple[int, int]]) -> NDArray[np.intp]:
    """Group numbers (count,) so that linked things share one; numbered in the order of their first member."""
    parents = list(range(count))
    for one, other in links:
        first, second = sorted((_root(parents, one), _root(parents, other)))
        parents[second] = first
    roots = np.array([_root(parents, member) for member in range(count)], dtype=np.intp)
    return np.asarray(np.unique(roots, return_inverse=True)[1], dtype=np.intp)


def boxes_around(boxes: NDArray[np.int32], groups: NDArray[np.intp]) -> NDArray[np.int32]:
    """The boxes (G, 4) around those of each group; boxes (N, 4), and the group (N,) of each."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    ends = np.minimum.reduceat(boxes[order, :2], starts), np.maximum.reduceat(boxes[order, 2:], starts)
    return np.concatenate(ends, axis=1)


def _root(parents: list[int], member: int) -> int:
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member
