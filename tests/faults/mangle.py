"""Files of every format, mangled at random, read by real workers: does the run survive, is every page accounted for?

    python -m tests.faults.mangle --files 20000

Wrong bytes near the start (headers, directories, tags) are likelier than in the pixels; checksums of PNGs are put right
again in half of them, so that what lies behind the check is reached too.
"""

import argparse
import io
import random
import re
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from docscan.batch.run import RunOptions, open_batch
from docscan.records import PageFailure

PAGE_TIMEOUT_S = 30
_IN_A_BATCH = 500
_LIMITS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Mangler = Callable[[bytearray, random.Random], bytearray]


@dataclass
class Tally:
    """What became of the files."""

    files: int = 0
    pages: int = 0
    states: Counter[str] = field(default_factory=Counter)
    """read, blank, or of failures: refused, given up (too slow, too much memory, a crash), fault (docscan's own)."""
    faults: list[str] = field(default_factory=list)
    unaccounted: int = 0
    """Files without an outcome."""
    slowest_s: float = 0.0

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (
            f"{self.files} mangled files, {self.pages} pages: {states}; {self.unaccounted} unaccounted for; "
            f"the slowest page took {self.slowest_s:.1f} s"
        )


def originals() -> dict[str, bytes]:
    """A small page with digits, in every format and the usual ways to store it."""
    gray = np.full((160, 240), 255, np.uint8)
    for left in (30, 80, 130):
        corners = np.array([(0, 0), (30, 0), (12, 50)]) + np.array((left, 50))
        cv2.polylines(gray, [corners], isClosed=False, color=0, thickness=5)
    page, bilevel = Image.fromarray(gray), Image.fromarray(gray).convert("1")
    colour = page.convert("RGB")
    ways: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "gray.png": (page, "PNG", {}),
        "palette.png": (colour.convert("P"), "PNG", {"dpi": (300, 300)}),
        "bilevel.png": (bilevel, "PNG", {}),
        "gray.jpg": (page, "JPEG", {"dpi": (300, 300)}),
        "colour.jpg": (colour, "JPEG", {"progressive": True, "exif": _exif()}),
        "raw.tif": (page, "TIFF", {}),
        "lzw.tif": (colour, "TIFF", {"compression": "tiff_lzw"}),
        "fax.tif": (bilevel, "TIFF", {"compression": "group4"}),
        "jpeg.tif": (colour, "TIFF", {"compression": "jpeg"}),
        "pages.tif": (page, "TIFF", {"save_all": True, "append_images": [page, page]}),
        "big.tif": (page, "TIFF", {"big_tiff": True, "compression": "tiff_adobe_deflate"}),
        "gray.bmp": (page, "BMP", {}),
        "bilevel.bmp": (bilevel, "BMP", {}),
        "lossy.webp": (colour, "WEBP", {}),
        "lossless.webp": (colour, "WEBP", {"lossless": True}),
        "page.jp2": (page, "JPEG2000", {}),
        "page.j2k": (page, "JPEG2000", {"no_jp2": True}),
        "scan.pdf": (page, "PDF", {"resolution": 100}),
        "pages.pdf": (colour, "PDF", {"save_all": True, "append_images": [colour, colour]}),
        "fax.pdf": (bilevel, "PDF", {}),
    }
    return {name: _saved(*way) for name, way in ways.items()} | {"drawn.pdf": _drawn_pdf()}


def mangled(content: bytes, dice: random.Random) -> bytes:
    """The file with one to four things done to it."""
    wrong = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 4))):
        wrong = dice.choice(_MANGLERS)(wrong, dice)
    if wrong.startswith(b"\x89PNG") and dice.random() < 0.5:
        wrong = _with_checksums(wrong)
    return bytes(wrong)


def mangle_and_read(folder: Path, files: int, seed: int) -> Tally:
    """Mangle so many files and read them, a few hundred at a time."""
    dice, tally, sound = random.Random(seed), Tally(), originals()
    for start in range(0, files, _IN_A_BATCH):
        scans = folder / f"scans{start}"
        scans.mkdir()
        for index in range(start, min(files, start + _IN_A_BATCH)):
            name = dice.choice(list(sound))
            (scans / f"{index}-{name}").write_bytes(mangled(sound[name], dice))
        _read(scans, folder / f"out{start}", tally)
    return tally


def _read(scans: Path, out: Path, tally: Tally) -> None:
    names = {path.name for path in scans.iterdir()}
    tally.files += len(names)
    with open_batch([scans], out, options=RunOptions(jobs=2, page_timeout_s=PAGE_TIMEOUT_S)) as batch:
        for outcome in batch.outcomes():
            names.discard(outcome.source.name)
            tally.slowest_s = max(tally.slowest_s, outcome.seconds)
            reason = outcome.result.reason if isinstance(outcome.result, PageFailure) else ""
            if "fault of its own" in reason:
                tally.faults.append(f"{outcome.source.name}: {reason}")
            tally.states[_state(reason)] += 1
        counts = batch.finish()
    tally.pages += counts.found
    tally.unaccounted += len(names) + counts.left


def _state(reason: str) -> str:
    if not reason:
        return "read"
    if "fault of its own" in reason:
        return "fault"
    return "given up" if re.match("took longer|needs more|made its|its worker", reason) else "refused"


def _flip_bit(content: bytearray, dice: random.Random) -> bytearray:
    content[_place(content, dice)] ^= 1 << dice.randrange(8)
    return content


def _set_number(content: bytearray, dice: random.Random) -> bytearray:
    place, width = _place(content, dice), dice.choice((1, 2, 4))
    value = (dice.choice(_LIMITS) % (1 << 8 * width)).to_bytes(width, dice.choice(("little", "big")))
    content[place : place + width] = value
    return content


def _cut(content: bytearray, dice: random.Random) -> bytearray:
    return content[: dice.randrange(1, len(content) + 1)]


def _drop(content: bytearray, dice: random.Random) -> bytearray:
    place = _place(content, dice)
    del content[place : place + dice.randrange(1, 40)]
    return content or bytearray(b"\0")


def _repeat(content: bytearray, dice: random.Random) -> bytearray:
    place = _place(content, dice)
    content[place:place] = content[place : place + dice.randrange(1, 200)] * dice.choice((1, 2, 50))
    return content


def _scatter(content: bytearray, dice: random.Random) -> bytearray:
    for _ in range(dice.randrange(2, 30)):
        content[dice.randrange(len(content))] = dice.randrange(256)
    return content


def _blot(content: bytearray, dice: random.Random) -> bytearray:
    place = _place(content, dice)
    length = min(dice.randrange(1, 100), len(content) - place)
    content[place : place + length] = bytes([dice.choice((0, 0xFF))]) * length
    return content


def _renumber(content: bytearray, dice: random.Random) -> bytearray:
    """Another number where one is written in letters, as PDFs do."""
    numbers = list(re.finditer(rb"-?[0-9]+(\.[0-9]+)?", content))
    if numbers:
        match = dice.choice(numbers)
        written = dice.choice((b"0", b"-1", b"1", b"65536", b"2147483647", b"99999999999", b"1e9", b"0.0000001"))
        content[match.start() : match.end()] = written
    return content


_MANGLERS: tuple[Mangler, ...] = (_flip_bit, _set_number, _set_number, _cut, _drop, _repeat, _scatter, _blot, _renumber)


def _place(content: bytearray, dice: random.Random) -> int:
    """Anywhere; near the start in two of three."""
    return dice.randrange(min(len(content), 200) if dice.random() < 0.67 else len(content))


def _with_checksums(content: bytearray) -> bytearray:
    at = 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if end + 4 > len(content):
            break
        content[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return content


def _saved(image: Image.Image, form: str, options: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    return exif


def _drawn_pdf() -> bytes:
    """A page of lines and text, none of it a picture, with its table of contents in the old style."""
    drawing = b"2 w 20 20 m 80 90 l 40 90 l S BT /F 24 Tf 100 40 Td (177) Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 120]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawing), drawing),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    content, offsets = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, start=1):
        offsets.append(len(content))
        content += b"%d 0 obj%s endobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 6\n0000000000 65535 f \n" + table
    return content + head + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = mangle_and_read(Path(folder), options.files, options.seed)
    print(tally, f"({time.monotonic() - started:.0f} s in all)", *tally.faults, sep="\n")
    sys.exit(1 if tally.unaccounted or tally.faults else 0)


if __name__ == "__main__":
    main()
