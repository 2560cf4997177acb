import subprocess
import sys

import docscan

HEAVY = ("cv2", "onnxruntime", "numpy", "PIL", "pypdfium2", "xlsxwriter", "psutil", "rich", "typer")


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_the_public_names_are_those_promised() -> None:
    assert sorted(docscan.__all__) == [
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


def test_every_public_name_is_there_and_documented() -> None:
    for name in docscan.__all__:
        assert getattr(docscan, name).__doc__, name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(docscan, "read_pages")


def test_importing_docscan_imports_nothing_heavy() -> None:
    assert modules_after("import docscan").isdisjoint(HEAVY)


def test_a_name_is_imported_when_first_used() -> None:
    loaded = modules_after("import docscan; docscan.load_model")
    assert {"onnxruntime", "numpy"} <= loaded
    assert loaded.isdisjoint({"xlsxwriter", "psutil", "typer"})
