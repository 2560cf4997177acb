"""What a classifier said and what was true -> figures and pictures (PNG) of a report.

The figures need numpy alone, the pictures matplotlib. Pictures of real crops go to a report folder, never into the
project: the sets' licences are their own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from docscan.records import NOT_A_DIGIT
from docscan.stages.classify import LABELS
from training.calibrate import Judged, error_reject
from training.data import Digits

BINS = 15
MISTAKES = 100
SHEET_COLUMNS = 10
DRAWN_COLUMNS = 12  # crops of one digit and one source in a row of the sheet
CAPTION_PX = 9  # room below a crop of a sheet, in the crop's own pixels
DPI = 100
PAPER, INK, QUIET = "white", "#222222", "#888888"


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """A reliability diagram in numbers: one row a bin, least sure first; no crops give no bins."""

    confidence: NDArray[np.float64]
    """(B,): mean confidence."""
    accuracy: NDArray[np.float64]
    """(B,): share right."""
    count: NDArray[np.int64]
    """(B,)."""


@dataclass(frozen=True, slots=True)
class Curve:
    """How one training went, a value an epoch."""

    name: str
    loss: tuple[float, ...]
    """On the crops trained on."""
    error: tuple[float, ...]
    """Share of the held-out crops read wrong."""


def judged(chances: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> Judged:
    """Digits as read: chances (N, 10) or (N, 11) and true labels (N,) of digits -> how sure, and whether right.

    "Not a digit" is no reading: the likeliest digit stands, with the little chance that was left to it.
    """
    digits = chances[:, :NOT_A_DIGIT]
    return Judged(digits.max(axis=1, initial=0), digits.argmax(axis=1) == labels)


def equal_mass_bins(found: Judged, bins: int = BINS) -> Bins:
    """The readings in at most `bins` groups of equally many, by confidence; equal confidences share a bin.

    Equal mass, for most confidences lie above 0.99 and bins of equal width would show one point: Nguyen & O'Connor,
    Posterior calibration and exploratory analysis for natural language processing models, EMNLP 2015, arXiv:1508.05154.
    """
    order = np.argsort(found.confidences, kind="stable")
    confidences, right = found.confidences[order].astype(np.float64), found.right[order]
    count = len(confidences)
    cuts = np.arange(1, bins) * count // bins
    # Were a run of equal confidences cut, the result would hang on the order in which the crops came.
    cuts = np.searchsorted(confidences, confidences[cuts[cuts < count]], side="left")
    edges = np.unique(np.concatenate([[0], cuts, [count]]))
    sizes = np.diff(edges)
    if not len(sizes):
        return Bins(np.empty(0), np.empty(0), np.empty(0, np.int64))
    sums = np.add.reduceat(confidences, edges[:-1]), np.add.reduceat(right.astype(np.float64), edges[:-1])
    return Bins(sums[0] / sizes, sums[1] / sizes, sizes.astype(np.int64))


def expected_calibration_error(
    confidences: NDArray[np.floating[Any]], right: NDArray[np.bool_], bins: int = BINS
) -> float:
    """How far confidence and accuracy lie apart: sum over bins of |B| / N * |accuracy(B) - confidence(B)|; 0..1.

    Guo, Pleiss, Sun & Weinberger, On calibration of modern neural networks, ICML 2017, equation 3 (arXiv:1706.04599),
    over bins of equal mass instead of equal width (`equal_mass_bins`). No readings give 0.
    """
    found = equal_mass_bins(Judged(confidences, right), bins)
    total = max(1, int(found.count.sum()))
    return float(np.dot(found.count, np.abs(found.accuracy - found.confidence)) / total)


def confusion_counts(labels: NDArray[np.int64], read: NDArray[np.int64]) -> NDArray[np.int64]:
    """(11, 11): how often what is truly `row` was read as `column`."""
    size = len(LABELS)
    return np.bincount(labels * size + read, minlength=size * size).reshape(size, size).astype(np.int64)


def worst_first(chances: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """The rows read wrong, the surest first; "not a digit" is a reading like another here."""
    wrong = np.flatnonzero(chances.argmax(axis=1) != labels)
    return wrong[np.argsort(-chances[wrong].max(axis=1), kind="stable")]


def plot_learning_curves(curves: Sequence[Curve], path: Path) -> None:
    """Loss and held-out error of each training against its epochs."""
    figure = _figure(9, 3.6)
    axes = figure.subplots(1, 2)
    for curve in curves:
        epochs = np.arange(1, len(curve.loss) + 1)
        axes[0].plot(epochs, curve.loss, marker=".", label=curve.name)
        axes[1].plot(epochs, np.multiply(curve.error, 100), marker=".", label=curve.name)
    for place, title in zip(axes, ("loss on the crops trained on", "% wrong on the writers held out"), strict=True):
        place.set(title=title, xlabel="epoch", yscale="log")
        _whole_ticks(place.xaxis)
        _plain_ticks(place.yaxis)
        place.grid(visible=True, which="both", alpha=0.3)
    if curves:
        axes[1].legend(fontsize=7)
    _save(figure, path)


def plot_confusion(labels: NDArray[np.int64], read: NDArray[np.int64], path: Path) -> None:
    """What was read as what: the counts, shaded by the mistakes alone, for the diagonal would drown them."""
    counts = confusion_counts(labels, read)
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    figure = _figure(6, 5.4)
    axes = figure.subplots()
    axes.imshow(np.sqrt(mistakes), cmap="Reds", vmin=0, vmax=1.5 * math.sqrt(max(4, mistakes.max())))
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = QUIET if row == column else INK
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=7, color=colour)
    ticks = range(len(LABELS))
    axes.set_xticks(ticks, [*LABELS[:-1], "none"])
    axes.set_yticks(ticks, [*LABELS[:-1], "none"])
    axes.set(xlabel="read", ylabel="truth", title=f"{int(mistakes.sum()):,} of {len(labels):,} wrong")
    _save(figure, path)


def plot_worst_mistakes(crops: Digits, chances: NDArray[np.floating[Any]], path: Path, count: int = MISTAKES) -> None:
    """A contact sheet of the `count` surest mistakes: the crop, truth > read, confidence."""
    wrong = worst_first(chances, crops.labels)
    shown = wrong[:count]
    read = chances[shown].argmax(axis=1)
    captions = [
        f"{LABELS[truth]} > {LABELS[said]}  {math.floor(1000 * sure) / 1000:.3f}"
        for truth, said, sure in zip(crops.labels[shown], read, chances[shown].max(axis=1), strict=True)
    ]
    title = f"{len(wrong):,} of {len(crops):,} wrong; the {len(shown)} surest (truth > read, confidence)"
    _save(_sheet(crops.images[shown], captions, title), path)


def plot_reliability(found: Judged, path: Path, bins: int = BINS) -> None:
    """How often the readings of each confidence are right: on the diagonal, confidence means what it says.

    Both axes are of doubt (1 - confidence, share wrong) and logarithmic, since nearly all confidences are close to 1;
    whiskers are two standard errors, a bin without a mistake stands at the upper end of what three of them would be.
    """
    measured = equal_mass_bins(found, bins)
    error = expected_calibration_error(found.confidences, found.right, bins)
    doubt, wrong = 1 - measured.confidence, 1 - measured.accuracy
    flawless = wrong * measured.count < 0.5
    shown = np.where(flawless, 3 / np.maximum(measured.count, 1), wrong)  # the rule of three: 95 % upper bound
    least = 10.0 ** math.floor(math.log10(max(1e-6, np.min([*doubt, *shown], initial=0.1))))
    figure = _figure(5, 4.6)
    axes = figure.subplots()
    axes.plot([least, 1], [least, 1], color=QUIET, linewidth=1)
    whiskers = 2 * np.sqrt(wrong * (1 - wrong) / np.maximum(measured.count, 1))
    for rows, marker, label in ((~flawless, "o", "share wrong"), (flawless, "v", "none wrong: 95 % bound")):
        spread = np.minimum(whiskers[rows], 0.999 * shown[rows]), whiskers[rows]
        axes.errorbar(
            np.maximum(doubt[rows], least), shown[rows], yerr=spread, fmt=marker, color=INK, capsize=2, label=label
        )
    axes.set(xscale="log", yscale="log", xlabel="1 - mean confidence of the bin", ylabel="share wrong in the bin")
    title = f"expected calibration error {error:.4f}, {len(measured.count)} bins, {len(found.right):,} readings"
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=8)
    axes.grid(visible=True, alpha=0.3)
    _save(figure, path)


def plot_error_reject(found: Mapping[str, Judged], path: Path) -> None:
    """The share wrong among the accepted against the share accepted, one line a classifier."""
    figure = _figure(8, 4.2)
    axes = figure.subplots()
    for name, readings in found.items():
        curve = error_reject(readings)
        share = curve.wrong / np.maximum(curve.accepted, 1)
        # A logarithm has no 0: a line starts where its surest mistake is.
        axes.plot(100 * curve.accepted[share > 0] / len(readings.right), 100 * share[share > 0], label=name)
    axes.set(xlabel="% of digits accepted", ylabel="% wrong among the accepted", yscale="log", xlim=(0, 100))
    axes.axhline(0.05, color=QUIET, linewidth=0.8, linestyle=":")
    axes.axvline(95, color=QUIET, linewidth=0.8, linestyle=":")
    axes.set_title("dotted: 95 % accepted, 1 wrong in 2,000", fontsize=9)
    _plain_ticks(axes.yaxis)
    axes.grid(visible=True, alpha=0.3)
    if found:
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1))
    _save(figure, path)


def plot_drawn_beside_real(drawn: Digits, real: Digits, path: Path, columns: int = DRAWN_COLUMNS) -> None:
    """A row a digit: the first `columns` drawn crops on the left, as many real ones on the right."""
    gap = 8
    half = columns * 28
    sheet = np.zeros((10 * 28, 2 * half + gap), np.uint8)
    sheet[:, half : half + gap] = 255
    for digit in range(10):
        for start, source in ((0, drawn), (half + gap, real)):
            for place, row in enumerate(np.flatnonzero(source.labels == digit)[:columns]):
                left = start + place * 28
                sheet[digit * 28 : (digit + 1) * 28, left : left + 28] = source.images[row]
    figure = _figure(sheet.shape[1] * 1.6 / DPI, sheet.shape[0] * 1.6 / DPI + 0.4)
    axes = figure.subplots()
    axes.imshow(255 - sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title("drawn (left), real (right)", fontsize=9)
    axes.set_axis_off()
    _save(figure, path)


def _sheet(crops: NDArray[np.uint8], captions: Sequence[str], title: str) -> Any:
    """Crops (N, 28, 28) in a grid, each above its caption: a figure."""
    rows = max(1, -(-len(crops) // SHEET_COLUMNS))
    height, width = 28 + CAPTION_PX, 28 + 4
    canvas = np.zeros((rows * height, SHEET_COLUMNS * width), np.uint8)
    figure = _figure(9, 9 * canvas.shape[0] / canvas.shape[1] + 0.4)
    axes = figure.subplots()
    for place, (crop, caption) in enumerate(zip(crops, captions, strict=True)):
        top, left = place // SHEET_COLUMNS * height, place % SHEET_COLUMNS * width
        canvas[top : top + 28, left + 2 : left + 30] = crop
        axes.text(left + width / 2, top + 32, caption, ha="center", va="center", fontsize=6.5, color=INK)
    axes.imshow(255 - canvas, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
    return figure


def _figure(width_inch: float, height_inch: float) -> Any:
    # Not pyplot: it keeps every figure alive and wants a screen on some systems. A bare Figure is drawn by Agg.
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inch, height_inch), dpi=DPI, facecolor=PAPER, layout="tight")


def _whole_ticks(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _plain_ticks(axis: Any) -> None:
    """0.1, 0.2, 0.5, 1 on a logarithmic axis rather than powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": None})
