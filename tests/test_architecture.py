"""Who may import whom: down only, and one door for each third party."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "docscan"
MODULES = sorted(ROOT.rglob("*.py"))

ROOMS = ("errors", "settings", "records", "stages", "pipeline", "scoring", "files", "reading", "batch", "cli")
MAY_IMPORT = {
    "": {"errors", "settings", "records", "stages", "reading", "batch"},  # the public face
    "errors": set(),
    "settings": {"errors"},
    "records": {"settings", "errors"},
    "stages": {"records", "settings", "errors"},
    "pipeline": {"stages", "records", "settings", "errors"},
    "scoring": set(),
    "files": {"scoring", "records", "settings", "errors"},
    "reading": {"files", "pipeline", "stages", "records", "settings", "errors"},
    "batch": {"", "files", "pipeline", "stages", "records", "settings", "errors"},
    "cli": {"", *ROOMS},
}
DOORS = {
    "onnxruntime": {"stages/classify.py"},
    "typer": {"cli/"},
    "rich": {"cli/"},
    "pypdfium2": {"files/"},
    "PIL": {"files/"},
    "kornia_rs": {"files/png.py"},
    "sqlite3": {"files/store.py"},
    "xlsxwriter": {"files/spreadsheet.py"},
    "psutil": {"batch/pool.py", "batch/lock.py", "files/storage.py"},
    "platformdirs": {"batch/mirror.py"},
    "multiprocessing": {"batch/pool.py"},
    "filelock": {"batch/lock.py"},
    "distributed": {"batch/cluster.py"},
    "fsspec": {"files/storage.py"},
    "tensorflow": set(),
    "keras": set(),
    "training": set(),
    "click": set(),
}


def imports_of(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "docscan")


def room_of(name: str) -> str:
    """`docscan.files.store` -> `files`; a name the package itself holds -> ``."""
    room = name.removeprefix("docscan").removeprefix(".").split(".")[0]
    return room if room in ROOMS else ""


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(ROOT).as_posix())
def test_a_room_imports_only_the_rooms_below(module: Path) -> None:
    room = room_of(".".join(["docscan", *module.relative_to(ROOT).with_suffix("").parts]))
    used = {room_of(name) for name in imports_of(module) if name.split(".")[0] == "docscan"}
    allowed = MAY_IMPORT[room] | {room}
    if "from docscan import" in module.read_text(encoding="utf-8"):
        used.discard("")  # `from docscan import pipeline` names the package on its way
    assert used <= allowed


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(ROOT).as_posix())
def test_a_third_party_has_one_door(module: Path) -> None:
    path = module.relative_to(ROOT).as_posix()
    used = {name.split(".")[0] for name in imports_of(module)}
    assert [name for name in sorted(used & set(DOORS)) if not path.startswith(tuple(DOORS[name]))] == []


def test_every_room_of_the_plan_is_guarded() -> None:
    assert {room_of(f"docscan.{path.stem}") for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()} - {
        ""
    } == set(ROOMS)
