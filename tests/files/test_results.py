import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from docscan.errors import OutputError, SettingsError
from docscan.files.results import COLUMNS, CsvFormat, page_csv, published, write_failures, write_numbers
from docscan.records import Box, Number, PageSource

NUMBER = Number("-0,50", 0.99996, Box(10, 20, 40, 35), (), line=2, position=3, row=4, column=5, field="sum")


def test_the_columns_are_those_promised() -> None:
    assert ",".join(COLUMNS) == (
        "source,page,line,position,text,confidence,review,reason,x,y,width,height,row,column,field"
    )


def test_a_page_without_numbers_has_the_header_alone(tmp_path: Path) -> None:
    write_numbers(tmp_path / "a.csv", [], CsvFormat())
    assert (tmp_path / "a.csv").read_bytes() == b"\xef\xbb\xbf" + ",".join(COLUMNS).encode() + b"\n"


def test_a_row_holds_a_number(tmp_path: Path) -> None:
    write_numbers(tmp_path / "a.csv", [("a b.png", 7, NUMBER)], CsvFormat("utf-8"))
    row = (tmp_path / "a.csv").read_text("utf-8").splitlines()[1]
    assert row == 'a b.png,7,2,3,"-0,50",1.0000,false,,10,20,30,15,4,5,sum'


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_a_name_or_a_reason_is_no_formula(tmp_path: Path, start: str) -> None:
    write_failures(tmp_path / "f.csv", [(f"{start}cmd.png", 1, f"{start}1")], CsvFormat("utf-8", ";"))
    assert (tmp_path / "f.csv").read_text("utf-8").splitlines()[1] == f"'{start}cmd.png;1;'{start}1"


def test_a_name_the_encoding_lacks_is_spelled_out(tmp_path: Path) -> None:
    write_failures(tmp_path / "f.csv", [("é日.png", 1, "")], CsvFormat("cp1252"))
    assert (tmp_path / "f.csv").read_text("cp1252").splitlines()[1] == "é\\u65e5.png,1,"


@pytest.mark.parametrize("encoding", ["utf-9", "rot13", "base64"])
def test_an_encoding_that_is_none_is_refused(encoding: str) -> None:
    with pytest.raises(SettingsError, match="encoding"):
        CsvFormat(encoding)


def write_while_the_folder_goes(folder: Path) -> None:
    with published(folder / "a.csv") as draft:
        draft.write_text("half of it")
        folder.rename(folder.with_name("gone"))
        folder.write_text("in the way")


def test_a_folder_that_goes_while_a_file_is_written_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_while_the_folder_goes(tmp_path / "pages")


@pytest.mark.parametrize("delimiter", ["", ",,", "0", "a", '"', "\n", "."])
def test_a_delimiter_that_could_be_data_is_refused(delimiter: str) -> None:
    with pytest.raises(SettingsError, match="delimiter"):
        CsvFormat(delimiter=delimiter)


@pytest.mark.parametrize(
    ("name", "page", "paged", "path"),
    [
        ("a.png", 1, False, "pages/a.png.csv"),
        ("year 1/é.tif", 3, True, "pages/year 1/é.tif.p0003.csv"),
        ("long.pdf", 12345, True, "pages/long.pdf.p12345.csv"),
        ("CON.png", 1, False, "pages/_CON.png-b92d86cf.csv"),
        ("a:b?.png", 1, False, "pages/a_b_.png-7472cbc9.csv"),
        ("dot./a.png", 1, False, "pages/dot_-d65b1836/a.png.csv"),
        ("../a.png", 1, False, "pages/._-5ec1f7e7/a.png.csv"),
    ],
)
def test_a_page_has_its_csv_under_its_own_name(name: str, page: int, paged: bool, path: str) -> None:  # noqa: FBT001
    assert page_csv(PageSource("", name, page, paged)).as_posix() == path


def test_names_of_255_bytes_are_shortened_and_stay_apart(tmp_path: Path) -> None:
    names = ["é" * 125 + ending for ending in ("a.png", "b.png")]
    paths = [page_csv(PageSource("", name, 1, paged=True)) for name in names]
    assert len(set(paths)) == 2
    for path in paths:
        assert len(path.name.encode()) <= 255
        write_numbers(tmp_path / path, [], CsvFormat())
        assert (tmp_path / path).is_file()


def test_what_is_published_appears_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.csv"
    with published(path) as draft:
        draft.write_text("half")
        assert not path.exists()
        draft.write_text("whole")
    assert path.read_text() == "whole"
    assert [child.name for child in path.parent.iterdir()] == ["a.csv"]


def test_an_interrupted_publication_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def publish() -> None:
        with published(path) as draft:
            draft.write_text("new, but tor")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish()
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["a.csv"]


def test_an_interrupted_table_leaves_no_torn_file(tmp_path: Path) -> None:
    def rows() -> Iterator[tuple[str, int, Number]]:
        yield "a.png", 1, NUMBER
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_numbers(tmp_path / "results.csv", rows(), CsvFormat())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_replaced_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "results.csv").mkdir()
    with pytest.raises(OutputError, match=r"results\.csv cannot be written"):
        write_numbers(tmp_path / "results.csv", [], CsvFormat())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_an_error_in_words(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        write_numbers(tmp_path / "a.csv", [], CsvFormat())
