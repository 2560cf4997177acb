"""Sets of ink built in a test: the layout of the published ones, a few strokes for content."""

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from training import stocks

DATA = Path(__file__).parents[3] / "shared" / "data"


def keep_set(folder, name, content, monkeypatch):
    """Write `content` where the set `name` belongs, and let its checksum be the right one."""
    known = stocks.SETS[name]
    path = folder / known.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    monkeypatch.setitem(stocks.SETS, name, replace(known, sha256=hashlib.sha256(content).hexdigest()))


def png(image):
    return cv2.imencode(".png", image)[1].tobytes()


def zipped(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def cheques(rows):
    """Amounts of one digit each: that of row n is a bar of 20 + n by 8 px and means n % 10."""
    lines, files = ["file,string,digit_boxes_label_x_y_w_h"], {}
    for row in range(rows):
        gray = np.full((120, 60), 230, np.uint8)
        gray[20 : 40 + row, 25:33] = 40
        files[f"images/{row}.png"] = png(gray)
        lines.append(f'images/{row}.png,{row % 10},"{row % 10}:22,16,14,{28 + row}"')
    return zipped(files | {"strings.csv": "\n".join(lines) + "\n"})


def row_of(ink):
    """The row of `cheques` whose digit was cut out: (h, w)."""
    return ink.shape[0] - 20
