"""docscan: the handwritten numbers on scanned pages, as data.

    import docscan
    page = docscan.read_page("scan.png")
    [number.text for number in page.numbers]

The names below are the public face; what needs OpenCV or ONNX Runtime is imported when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from docscan.errors import (
    DocscanError,
    EngineError,
    ModelError,
    NothingToReadError,
    OutputError,
    OutputInUseError,
    PageError,
    SettingsError,
)
from docscan.settings import Settings

if TYPE_CHECKING:
    from docscan.batch.run import scan_batch
    from docscan.reading import read_page
    from docscan.records import (
        Alternative,
        Box,
        Digit,
        Number,
        Page,
        PageFailure,
        PageOutcome,
        PageResult,
        PageSource,
    )
    from docscan.stages.classify import DigitModel, load_model

__version__ = "0.1.0"

_HOMES = {
    "read_page": "docscan.reading",
    "scan_batch": "docscan.batch.run",
    "load_model": "docscan.stages.classify",
    "DigitModel": "docscan.stages.classify",
} | dict.fromkeys(
    ["Alternative", "Box", "Digit", "Number", "Page", "PageFailure", "PageOutcome", "PageResult", "PageSource"],
    "docscan.records",
)

__all__ = [
    "Alternative",
    "Box",
    "Digit",
    "DigitModel",
    "DocscanError",
    "EngineError",
    "ModelError",
    "NothingToReadError",
    "Number",
    "OutputError",
    "OutputInUseError",
    "Page",
    "PageError",
    "PageFailure",
    "PageOutcome",
    "PageResult",
    "PageSource",
    "Settings",
    "SettingsError",
    "load_model",
    "read_page",
    "scan_batch",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'docscan' has no attribute {name!r}")
