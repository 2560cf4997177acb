"""Font packages -> glyphs: printed digits, and letters as what is not a digit.

fonts.txt pins families of Google Fonts as published on npm (@expo-google-fonts; OFL 1.1 or Apache 2.0), with the
SHA-256 of each archive. They are fetched once into a cache folder; no font is part of the project.
"""

import argparse
import concurrent.futures
import hashlib
import io
import tarfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

LIST = Path(__file__).parent / "fonts.txt"
CACHE = Path.home() / ".cache" / "docscan-fonts"
ADDRESS = "https://registry.npmjs.org/@expo-google-fonts/{family}/-/{family}-{version}.tgz"
STYLES = ("400Regular", "700Bold", "400Regular_Italic", "300Light")  # up to four faces a family
GLYPH_PX = 56  # size in pixels of the em square glyphs are drawn at
DIGITS = "0123456789"
LOOKALIKES = "lIOoSsZzqgbB"  # letters a hand writes as it writes a digit
OTHERS = "".join(
    letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" if letter not in LOOKALIKES
)
MARKS = '-+=#%&@*:$£€"'  # not / ( ) [ ] ! | ? < > ^: as handwriting, each is a 1, a 2 or a 7
HELD_OUT = 8  # one family in eight validates


@dataclass(frozen=True, slots=True)
class Family:
    """A pinned family of fonts."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Glyph:
    """One character of one face."""

    label: int
    """0..9, or 10 for "not a digit"."""
    ink: NDArray[np.uint8]
    """(h, w) uint8, 255 = ink, cut to the ink."""
    held_out: bool
    """True for the families that validate."""


def families() -> list[Family]:
    """The pinned families, in the order of fonts.txt."""
    lines = LIST.read_text(encoding="ascii").splitlines()
    return [Family(*line.split()) for line in lines if line and not line.startswith("#")]


def fetch(family: Family, cache: Path = CACHE) -> bytes:
    """The archive of a family, from the cache or the registry. Raises ValueError if its SHA-256 differs."""
    path = cache / f"{family.name}-{family.version}.tgz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(ADDRESS.format(family=family.name, version=family.version), timeout=120) as answer:
            path.write_bytes(answer.read())
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != family.sha256:
        raise ValueError(f"{path}: SHA-256 {found}, expected {family.sha256}; delete the file and fetch it again")
    return content


def draw_glyphs(cache: Path = CACHE) -> list[Glyph]:
    """Every digit and every character that is none, of every pinned face; drawn once, then kept in the cache."""
    drawn = cache / f"glyphs-{_digest()}.npz"
    if not drawn.is_file():
        _keep(_draw(cache), drawn)
    with np.load(drawn) as arrays:
        shapes = arrays["shapes"]
        inks = np.split(arrays["inks"], np.cumsum(shapes.prod(axis=1))[:-1])
        return [
            Glyph(int(label), ink.reshape(shape), bool(held_out))
            for label, ink, shape, held_out in zip(arrays["labels"], inks, shapes, arrays["held_out"], strict=True)
        ]


def _digest() -> str:
    """Of all that decides what is drawn."""
    parts = LIST.read_bytes(), STYLES, GLYPH_PX, DIGITS + OTHERS + MARKS, HELD_OUT
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _keep(glyphs: list[Glyph], path: Path) -> None:
    draft = path.with_suffix(".part.npz")
    np.savez_compressed(
        draft,
        labels=np.array([glyph.label for glyph in glyphs]),
        held_out=np.array([glyph.held_out for glyph in glyphs]),
        shapes=np.array([glyph.ink.shape for glyph in glyphs]),
        inks=np.concatenate([glyph.ink.ravel() for glyph in glyphs]),
    )
    draft.replace(path)


def _draw(cache: Path) -> list[Glyph]:
    with concurrent.futures.ThreadPoolExecutor(8) as fetchers:
        archives = list(fetchers.map(lambda family: fetch(family, cache), families()))
    return [
        Glyph(DIGITS.find(character) if character in DIGITS else 10, ink, number % HELD_OUT == 0)
        for number, archive in enumerate(archives)
        for face in faces(archive)
        for character, ink in _characters(face)
    ]


def faces(archive: bytes) -> Iterator[ImageFont.FreeTypeFont]:
    """The faces of a family's archive that are drawn."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for style in STYLES:
            for name in members.getnames():
                file = members.extractfile(name) if name.endswith(f"_{style}.ttf") else None
                if file is not None:
                    yield ImageFont.truetype(io.BytesIO(file.read()), GLYPH_PX)


def _characters(face: ImageFont.FreeTypeFont) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    missing = bytes(face.getmask("\ue83a"))
    for character in DIGITS + OTHERS + MARKS:
        if bytes(face.getmask(character)) == missing:
            continue
        canvas = Image.new("L", (3 * GLYPH_PX, 3 * GLYPH_PX))
        ImageDraw.Draw(canvas).text((GLYPH_PX, GLYPH_PX), character, font=face, fill=255)
        box = canvas.point(lambda level: 255 if level > 40 else 0).getbbox()
        if box is not None:
            yield character, np.asarray(canvas.crop(box))


def main() -> None:
    """`python -m training.fonts`: fetch every pinned family."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE)
    glyphs = draw_glyphs(parser.parse_args().cache)
    print(f"{len(families())} families, {len(glyphs)} glyphs, {sum(glyph.label < 10 for glyph in glyphs)} digits")


if __name__ == "__main__":
    main()
