import subprocess
from pathlib import Path

import pytest
from command_line import Docscan, clean_environment, command, png


@pytest.fixture
def docscan(tmp_path: Path) -> Docscan:
    """Run the command in a process of its own, in `tmp_path`."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            env=clean_environment() | (env or {}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two pages with numbers and a blank one."""
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(["17", "771"]))
    (folder / "b.png").write_bytes(png(["7"]))
    (folder / "blank.png").write_bytes(png([]))
    return folder
