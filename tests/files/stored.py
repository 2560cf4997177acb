"""Pictures as bytes, for the tests of what opens them."""

import io
import struct
import zlib

from PIL import Image


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    stored = (
        struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(stored)
