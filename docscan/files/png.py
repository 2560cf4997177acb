"""PNG -> pixels in half of Pillow's time, in colours in a third: Rust's png crate decodes, Pillow does all else.

That is pages of eight bits a channel. All others are decoded by Pillow; so is what the crate finds fault with, for it
is Pillow's errors that are told in words. The crate does not hold the pixels against the checksum of their stream
(RFC 1950): whoever opens a file checks those of its chunks.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

try:
    from kornia_rs.io import decode_image_png_u8
except ImportError:  # no wheel for this processor: Pillow says the same, more slowly
    decode_image_png_u8 = None

_PANICS = "pyo3_runtime"  # the module of their class, which cannot be imported
_CHANNELS = {"L": "mono", "RGB": "rgb", "RGBA": "rgba"}  # Pillow's name for the pixels: the crate's


class PngFile(PngImageFile):
    """Pillow's PngImageFile, read sooner."""

    gray: NDArray[np.uint8] | None = None
    """(H, W), once it is loaded: its pixels, if they are gray and the crate decoded them."""

    def load(self) -> Any:
        """Decode the pixels, once."""
        if self.tile and self.mode in _CHANNELS and not self.is_animated and decode_image_png_u8 is not None:
            pixels = self._decoded()
            if pixels is not None:
                self.im = Image.frombuffer(self.mode, self.size, pixels, "raw", self.mode, 0, 1).im
                self.gray = pixels[:, :, 0] if self.mode == "L" else None
                self.load_prepare()
                self.tile = []
                self.load_end()  # what stands behind the pixels: which way up a photograph is
        return super().load()

    def _decoded(self) -> NDArray[np.uint8] | None:
        """(H, W, channels); None where Pillow is to decode them, or to say why nobody can."""
        assert self.fp is not None  # not loaded yet
        started = self.fp.tell()
        self.fp.seek(0)
        try:
            decoded = decode_image_png_u8(self.fp.read(), self.size[::-1], _CHANNELS[self.mode])
        except BaseException as error:
            # Its errors are of no class of their own, and a panic (there is no memory for the picture) is no Exception.
            if isinstance(error, Exception) or type(error).__module__ == _PANICS:
                return None
            raise
        finally:
            self.fp.seek(started)
        return np.asarray(decoded, dtype=np.uint8)
