import hashlib
import io
import re
import tarfile

import numpy as np
import pytest
from PIL import ImageFont

from training import fonts
from training.fonts import DIGITS, MARKS, OTHERS, draw_glyphs, families, fetch

FACE = ImageFont.load_default(20).path.getvalue()  # the one font that Pillow carries


def archive(*styles):
    """A package with the same face under each style's name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        for style in styles:
            member = tarfile.TarInfo(f"package/{style}/Face_{style}.ttf")
            member.size = len(FACE)
            members.addfile(member, io.BytesIO(FACE))
        readme = tarfile.TarInfo("package/README.md")
        members.addfile(readme, io.BytesIO())
    return packed.getvalue()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Publishes families in a folder that stands for the registry, and pins them."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setattr(fonts, "ADDRESS", folder.as_uri() + "/{family}-{version}.tgz")
    monkeypatch.setattr(fonts, "LIST", tmp_path / "fonts.txt")

    def publish(*contents):
        lines = ["# family version sha256"]
        for number, content in enumerate(contents):
            (folder / f"face-{number}-0.4.1.tgz").write_bytes(content)
            lines.append(f"face-{number} 0.4.1 {hashlib.sha256(content).hexdigest()}")
        fonts.LIST.write_text("\n".join(lines) + "\n", encoding="ascii")
        return folder

    return publish


def test_every_family_is_pinned_once_with_its_checksum():
    pinned = families()
    assert len({family.name for family in pinned}) == len(pinned) > 100
    assert [family.name for family in pinned if not re.fullmatch("[0-9a-f]{64}", family.sha256)] == []


def test_a_family_is_fetched_once(registry, tmp_path):
    folder = registry(archive("400Regular"))
    [family] = families()
    content = fetch(family, tmp_path / "cache")
    (folder / "face-0-0.4.1.tgz").unlink()
    assert fetch(family, tmp_path / "cache") == content == archive("400Regular")


def test_an_archive_that_is_not_the_pinned_one_is_refused(registry, tmp_path):
    folder = registry(archive("400Regular"))
    (folder / "face-0-0.4.1.tgz").write_bytes(b"another")
    with pytest.raises(ValueError, match=r"face-0-0\.4\.1\.tgz: SHA-256 .*delete the file and fetch it again"):
        draw_glyphs(tmp_path / "cache")


def test_every_digit_letter_and_mark_of_every_face_is_drawn(registry, tmp_path):
    registry(archive("400Regular", "700Bold", "900Black"))  # the last is none of the styles taken
    glyphs = draw_glyphs(tmp_path / "cache")
    assert [sum(glyph.label == digit for glyph in glyphs) for digit in range(10)] == [2] * 10
    others = sum(glyph.label == 10 for glyph in glyphs)
    assert 2 * len(OTHERS) < others <= 2 * len(OTHERS + MARKS)
    for glyph in glyphs:
        assert glyph.ink.dtype == np.uint8
        assert all(edge.max() > 40 for edge in (glyph.ink[0], glyph.ink[-1], glyph.ink[:, 0], glyph.ink[:, -1]))


def test_a_digit_has_the_label_of_its_character(registry, tmp_path):
    registry(archive("400Regular"))
    glyphs = draw_glyphs(tmp_path / "cache")
    face = ImageFont.truetype(io.BytesIO(FACE), fonts.GLYPH_PX)
    for digit, character in enumerate(DIGITS):
        [glyph] = [glyph for glyph in glyphs if glyph.label == digit]
        assert int(glyph.ink.sum()) == pytest.approx(sum(bytes(face.getmask(character))), rel=0.02)


def test_a_character_the_face_lacks_is_left_out(registry, tmp_path, monkeypatch):
    registry(archive("400Regular"))
    before = len(draw_glyphs(tmp_path / "cache"))
    monkeypatch.setattr(fonts, "MARKS", fonts.MARKS + "語")
    assert len(draw_glyphs(tmp_path / "cache")) == before


def test_one_family_in_eight_validates(registry, tmp_path):
    registry(*[archive("400Regular")] * 9)
    held_out = [glyph.held_out for glyph in draw_glyphs(tmp_path / "cache") if glyph.label == 7]
    assert held_out == [True, *[False] * 7, True]


def test_glyphs_are_drawn_once(registry, tmp_path):
    folder = registry(archive("400Regular"))
    drawn = draw_glyphs(tmp_path / "cache")
    for path in (folder / "face-0-0.4.1.tgz", tmp_path / "cache" / "face-0-0.4.1.tgz"):
        path.unlink()
    again = draw_glyphs(tmp_path / "cache")
    assert [(one.label, one.held_out, one.ink.tolist()) for one in drawn] == [
        (one.label, one.held_out, one.ink.tolist()) for one in again
    ]
    assert [path.suffixes for path in (tmp_path / "cache").iterdir()] == [[".npz"]]
