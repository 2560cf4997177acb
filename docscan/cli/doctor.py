"""`docscan doctor`: whether everything is there, and works."""

import importlib
import importlib.metadata
import platform
import sys
from typing import TYPE_CHECKING

import typer

import docscan
from docscan.cli.exit_codes import ExitCode
from docscan.cli.logs import LOG, logging_to
from docscan.cli.options import Config, LogFile, LogFormatOption, Quiet, Verbose
from docscan.errors import DocscanError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LIBRARIES = {
    "numpy": "numpy",
    "cv2": "opencv-python",
    "onnxruntime": "onnxruntime",
    "PIL": "pillow",
    "pypdfium2": "pypdfium2",
    "xlsxwriter": "xlsxwriter",
    "psutil": "psutil",
    "filelock": "filelock",
    "rich": "rich",
    "typer": "typer",
}
_TEST_STROKES = {  # corners of pen strokes, right and down, in a box of 1 x 1
    "1": [(0.5, 0.0), (0.5, 1.0)],
    "2": [(0.0, 0.2), (0.3, 0.0), (0.7, 0.0), (0.95, 0.25), (0.0, 1.0), (1.0, 1.0)],
    "7": [(0.0, 0.0), (1.0, 0.0), (0.4, 1.0)],
}
_TEST_NUMBER = "1727"


def doctor(
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
    log_format: LogFormatOption = "text",
    config: Config = None,  # noqa: ARG001  applied by its callback
) -> None:
    """Say which versions, model and cores there are, what is missing, and read one page as a test.

    Example: docscan doctor
    """
    with logging_to(log_file, log_format, verbose=verbose):
        lines, faults = _library_report()
        code = ExitCode.BUG if faults else ExitCode.OK
        if not faults:
            try:
                lines += _reading_report()
            except ModelError as error:
                faults, code = [f"model: {error}"], ExitCode.BAD_MODEL
            except DocscanError as error:
                faults, code = [f"the test page: {error}"], ExitCode.BUG
        for line in [] if quiet else lines:
            LOG.info(line)
            typer.echo(line)
        for fault in faults:
            LOG.error(fault)
            typer.echo(f"MISSING  {fault}", err=True)
    raise typer.Exit(code)


def _library_report() -> tuple[list[str], list[str]]:
    lines = [f"docscan {docscan.__version__}", f"Python {sys.version.split()[0]} on {platform.platform()}"]
    faults = []
    for module, distribution in _LIBRARIES.items():
        try:
            importlib.import_module(module)
            lines.append(f"{distribution} {importlib.metadata.version(distribution)}")
        except ImportError as error:
            faults.append(f"{distribution}: {error}. {_remedy(module, distribution)}")
    return lines, faults


def _remedy(module: str, distribution: str) -> str:
    if module == "cv2" and importlib.util.find_spec("cv2") is not None:
        return "OpenCV is installed but needs a library of the system: on Debian or Ubuntu, sudo apt install libgl1"
    return f"Install it: python -m pip install {distribution}"


def _reading_report() -> list[str]:
    from docscan.batch.run import usable_cores  # noqa: PLC0415  heavy
    from docscan.reading import read_page  # noqa: PLC0415
    from docscan.stages.classify import SHIPPED, load_model  # noqa: PLC0415

    model = load_model()
    texts = [number.text for number in read_page(_test_page(), model=model).numbers]
    if texts != [_TEST_NUMBER]:
        raise ModelError(f"{SHIPPED} read the test page, which shows {_TEST_NUMBER}, as {texts}")
    return [
        f"model {SHIPPED}, sha256 {model.sha256[:12]}",
        f"cores {usable_cores()}",
        f"test page: {_TEST_NUMBER} read as {texts[0]}",
        "Everything is there.",
    ]


def _test_page() -> "NDArray[np.uint8]":
    import cv2  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    page = np.full((400, 600), 255, np.uint8)
    for index, digit in enumerate(_TEST_NUMBER):  # not cv2.putText: its fonts change with OpenCV's version
        corners = np.array(_TEST_STROKES[digit]) * (60, 100) + (120 + 90 * index, 150)
        cv2.polylines(page, [np.round(corners).astype(np.int32)], isClosed=False, color=0, thickness=12)
    return page
