"""Folders, globs and files, URLs among them -> one PageSource a page; one PageSource -> its Page."""

import functools
import glob
import itertools
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from docscan.errors import NothingToReadError, PageError, SettingsError
from docscan.files.pdf import decode_pdf_page, pdf_pages
from docscan.files.pixels import (
    COLOURS,
    check_size,
    decode_image,
    decoder_edge,
    disk_reason,
    dropped_out,
    read_format,
    tiff_pages,
)
from docscan.files.storage import CHANGED, StorageError, StoredFile, find_stored, is_url, local_copy
from docscan.records import Page, PageFailure, PageSource
from docscan.settings import Colour

SCAN_SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .tif .tiff .bmp .webp .jp2 .j2k .jpx .jpf .pdf".split()  # noqa: SIM905
)
PAGED = frozenset({"pdf", "tiff"})  # formats that hold several pages
_PAGED_SUFFIXES = frozenset({".pdf", ".tif", ".tiff"})
_OUTPUT_MARK = "docscan.db"  # a folder that holds one is an earlier run's output: its pictures are no scans
_CLOCK_SLACK_NS = 2_000_000_000  # two computers may see a file's time on a share to within 2 s (FAT, SMB)
_SPAN = re.compile(r"([0-9]{1,9})(?:(-)([0-9]{1,9})?)?")

FoundPage = PageSource | tuple[PageSource, PageFailure]

LookInside = Callable[[Sequence[PageSource]], Iterable["Contents"]]
"""What each of these files holds, in their order."""


@dataclass(frozen=True, slots=True)
class PageRange:
    """Which pages of a PDF or TIFF are wanted: `3 in parse_pages("1,3-5")`."""

    spans: tuple[tuple[int, int | None], ...]
    """First and last page of each span, both included; None: to the end."""

    def __contains__(self, page: int) -> bool:
        return any(first <= page and (last is None or page <= last) for first, last in self.spans)


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How scans are found and opened."""

    recursive: bool = True
    """Whether folders inside the folders named are read as well."""
    pages: PageRange | None = None
    """The pages wanted of every PDF and TIFF; other scans have page 1 alone. None: all."""
    dpi: float = 300
    """Pixels per inch at which a PDF page is rendered that is not simply one scan."""
    max_image_mpixels: float = 250
    """Million pixels; a larger page is refused before it is decoded. A4 at 1200 dpi has 139."""
    drop_out: Colour | None = None
    """The colour of a form's print, which is then as white as paper; scans without colours stay as they are."""

    def __post_init__(self) -> None:
        if not 50 <= self.dpi <= 2400:
            raise SettingsError(f"dpi is {self.dpi}; expected 50 to 2400, such as 300")
        if not self.max_image_mpixels > 0:
            raise SettingsError(f"max_image_mpixels is {self.max_image_mpixels}; expected more than 0, such as 250")
        if self.drop_out not in {None, *COLOURS}:
            raise SettingsError(f"drop_out is {self.drop_out!r}; expected one of {', '.join(COLOURS)}")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds."""

    pages: int = 1
    """Those that can be told apart."""
    paged: bool = False
    """True for formats that hold several pages."""
    failure: str = ""
    """Why there is none, or none after those; empty where nothing is wrong."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file that was found, or a folder that could not be opened."""

    path: Path
    """Absolute."""
    root: Path
    """The input folder it was found below."""
    failure: str = ""
    """Why it cannot be read, where that is known already."""
    stored: StoredFile | None = None
    """Where it lies in object storage."""
    is_link: bool = False

    @property
    def name(self) -> str:
        return _as_text("/".join(self._parts))

    @property
    def order(self) -> tuple[Any, ...]:
        return _order(self._parts)

    @property
    def _parts(self) -> tuple[str, ...]:
        # Not Path.relative_to: with 100,000 files it takes seconds.
        root = os.fspath(self.root).removesuffix(os.sep)
        return tuple(os.fspath(self.path)[len(root) + 1 :].split(os.sep))  # noqa: PTH206


def parse_pages(text: str) -> PageRange:
    """`"1,3-5"`, or `"7-"` for page 7 to the end, as a PageRange. Raises SettingsError in words for anything else."""
    return PageRange(tuple(_span(part.strip(), text) for part in text.split(",")))


def look_inside(source: PageSource) -> Contents:
    """Open a file and count its pages; whatever is wrong with it is the `failure`. May take long on a hostile file."""
    pages, paged = 0, False
    try:
        with local_copy(source) as path, decoder_edge(path):
            scan_format = read_format(path)
            paged = scan_format in PAGED
            numbers = tiff_pages(path) if scan_format == "tiff" else pdf_pages(path) if scan_format == "pdf" else (1,)
            for number in numbers:
                pages = number
        if not pages:
            raise PageError("the file holds no page")
    except PageError as error:
        return Contents(pages, paged, str(error))
    return Contents(pages, paged)


def glance_inside(source: PageSource) -> Contents | None:
    """The same where the first bytes of the file tell; None where its pages must be counted.

    In object storage its name tells: to open every file there would take longer than to read some.
    """
    if is_url(source.path):
        return None if Path(source.path).suffix.lower() in _PAGED_SUFFIXES else Contents()
    path = Path(source.path)
    try:
        return None if read_format(path) in PAGED else Contents()
    except PageError as error:
        return Contents(0, failure=str(error))
    except OSError as error:
        return Contents(0, failure=disk_reason(error, path))


def _look_here(sources: Sequence[PageSource]) -> Iterable[Contents]:
    return map(look_inside, sources)


def find_pages(scans: Sequence[str | Path], options: ScanOptions, look: LookInside = _look_here) -> Iterator[FoundPage]:
    """Every page of the folders, files and globs named, each file once; a file at fault comes with its PageFailure.

    In folders only files with an ending of SCAN_SUFFIXES count, and nothing hidden; a file that is named, itself or
    by a glob, is tried whatever its ending. Order: as named, then natural (page-2 before page-10). Names are unique,
    also on systems that do not tell A from a: where two inputs hold the same name, their folders' names are put
    before it. Scans in object storage are named by URLs, with wildcards where wanted. The folders are listed at once;
    `look` opens the files, to count their pages, when pages are asked for.

    Raises NothingToReadError where something named does not exist, or where there is no scan at all.
    """
    files = _once(file for scan in scans for file in _expand(scan, options))
    if not files:
        named = ", ".join(_as_text(os.fspath(scan)) for scan in scans)
        raise NothingToReadError(f"{named or 'nothing was named'}: no scan found; docscan reads {_endings()}")
    return _all_pages(files, options, look)


def open_page(source: PageSource, options: ScanOptions) -> Page:
    """Decode one page. Raises PageError whose message is the reason alone, whatever is wrong with the file."""
    with local_copy(source) as path, decoder_edge(path, source.page):
        if not is_url(source.path):
            _check_unchanged(path, source)
        scan_format = read_format(path)
        if is_url(source.path) and scan_format in PAGED and not source.paged:
            raise PageError(f"a {scan_format.upper()} by another name; let its name end in .{scan_format}")
        if scan_format == "pdf":
            page = decode_pdf_page(path, source.page, options.dpi, options.max_image_mpixels, options.drop_out)
        else:
            page = decode_image(path, scan_format, source.page, options.max_image_mpixels, options.drop_out)
        if not is_url(source.path):
            _check_unchanged(path, source)  # once more: half of the page may be of the file as it is now
        return page


def _check_unchanged(path: Path, source: PageSource) -> None:
    status = _status(path)
    is_same = status.st_size == source.size and abs(status.st_mtime_ns - source.mtime_ns) <= _CLOCK_SLACK_NS
    if source.mtime_ns and not is_same:
        raise PageError(CHANGED)


def page_from_array(array: NDArray[Any], drop_out: Colour | None = None) -> Page:
    """A page from pixels: (H, W) gray or (H, W, 3) RGB, uint8, 255 = white; print of the colour `drop_out` is white.

    Raises ValueError for any other shape or type, PageError for a picture too small to be a page.
    """
    if not isinstance(array, np.ndarray):
        raise ValueError(f"expected a numpy array, got {type(array).__name__}")
    is_colour = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (array.ndim == 2 or is_colour):
        raise ValueError(f"expected (H, W) or (H, W, 3) uint8, got shape {array.shape} of {array.dtype}")
    height, width = array.shape[:2]
    check_size(width, height, float("inf"))
    if is_colour and drop_out is not None:
        array = dropped_out(array, drop_out)
    elif is_colour:
        array = np.asarray(Image.fromarray(array).convert("L"))
    return Page(np.ascontiguousarray(array))


def _span(part: str, text: str) -> tuple[int, int | None]:
    match = _SPAN.fullmatch(part)
    if match is None:
        raise SettingsError(f"pages {text!r}: {part!r} is no page; expected numbers and ranges such as 1,3-5 or 7-")
    first = int(match[1])
    last = int(match[3]) if match[3] else None if match[2] else first
    if first == 0:
        raise SettingsError(f"pages {text!r}: there is no page 0; the first page is 1")
    if last is not None and last < first:
        raise SettingsError(f"pages {text!r}: {part} runs backwards; write {last}-{first}")
    return first, last


def _endings() -> str:
    return " ".join(sorted(SCAN_SUFFIXES))


def _expand(scan: str | Path, options: ScanOptions) -> list[_File]:
    """The files one argument stands for, in natural order."""
    if is_url(scan):
        return _expand_url(os.fspath(scan), options)
    path = Path(os.path.abspath(scan))  # noqa: PTH100 - Path.resolve() would follow links, and names come from here
    if os.path.lexists(path):
        return _list(path, path if _is_folder(path) else path.parent, options)
    pattern = os.fspath(scan)
    matches = [Path(os.path.abspath(match)) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH100, PTH207
    if not matches:
        raise NothingToReadError(f"{_as_text(pattern)}: no such file or folder")
    root = _fixed_prefix(pattern)
    found: list[_File] = []
    for match in matches:
        inside = match != root and match.is_relative_to(root)
        found += _list(match, root if inside else match.parent, options)
    return sorted(found, key=lambda file: file.order)


def _expand_url(url: str, options: ScanOptions) -> list[_File]:
    try:
        found = find_stored(url, recursive=options.recursive)
    except StorageError as error:
        raise NothingToReadError(str(error)) from error
    names = (PurePosixPath(file.name) for file in found)
    outputs = {name.parent for name in names if name.name == _OUTPUT_MARK and name.parent.name}
    wanted = (file for file in found if file.is_named or _is_scan(PurePosixPath(file.name), outputs))
    return sorted(map(_stored_file, wanted), key=lambda file: file.order)


def _stored_file(file: StoredFile) -> _File:
    """Its path takes part in names alone."""
    root = Path("/", file.url.partition("://")[2].removesuffix(file.name))
    return _File(root / file.name, root, stored=file)


def _is_scan(name: PurePosixPath, outputs: set[PurePosixPath]) -> bool:
    is_hidden = any(part.startswith(".") for part in name.parts)
    return name.suffix.lower() in SCAN_SUFFIXES and not is_hidden and outputs.isdisjoint(name.parents)


def _fixed_prefix(pattern: str) -> Path:
    """The folder that holds whatever a glob can match: its part before the first wildcard."""
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts)
    return Path(os.path.abspath(Path(*fixed)))  # noqa: PTH100


def _list(path: Path, root: Path, options: ScanOptions) -> list[_File]:
    if not _is_folder(path):
        return [_File(path, root, is_link=path.is_symlink())]
    return sorted(_walk(path, root, options), key=lambda file: file.order)


def _walk(folder: Path, root: Path, options: ScanOptions) -> Iterator[_File]:
    """The scans in a folder, in any order; a folder that cannot be opened comes as a file at fault."""
    pending, seen = [folder], set[str]()
    while pending:
        current = pending.pop()
        real = os.path.realpath(current)
        if real in seen:  # a link that leads back
            continue
        seen.add(real)
        try:
            with os.scandir(current) as entries:
                children = sorted((entry for entry in entries if not entry.name.startswith(".")), key=_entry_name)
        except OSError as error:
            # Below its parent, so that the folder has a name of its own.
            yield _File(
                current,
                root if current != root else root.parent,
                f"a folder that cannot be listed: {disk_reason(error, current)}",
            )
            continue
        if current != folder and any(entry.name == _OUTPUT_MARK for entry in children):
            continue
        if current != folder and current.suffix.lower() in SCAN_SUFFIXES and not children:
            yield _File(current, root, "a folder with nothing in it, though its name is a picture's")
        for entry in children:
            if _is_folder(entry):
                if options.recursive:
                    pending.append(current / entry.name)
            elif os.path.splitext(entry.name)[1].lower() in SCAN_SUFFIXES:  # noqa: PTH122
                yield _File(current / entry.name, root, is_link=entry.is_symlink())


def _entry_name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _is_folder(entry: Path | os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, a folder above that may not be entered
        return False


def _once(files: Iterable[_File]) -> list[_File]:
    """Each real file at its first appearance."""
    real_folders: dict[str, str] = {}
    kept: dict[str, _File] = {}
    for file in files:
        if file.stored is not None:
            kept.setdefault(file.stored.url, file)
            continue
        folder, name = os.path.split(file.path)
        if folder not in real_folders:
            real_folders[folder] = os.path.realpath(folder)
        # realpath asks the system about every part of a path: once a folder, and for links, is enough.
        real = os.path.realpath(file.path) if file.is_link else os.path.join(real_folders[folder], name)  # noqa: PTH118
        kept.setdefault(os.path.normcase(real), file)
    return list(kept.values())


def _all_pages(files: list[_File], options: ScanOptions, look: LookInside) -> Iterator[FoundPage]:
    listed = [_stated(file, name) for file, name in zip(files, _unique_names(files), strict=True)]
    contents = iter(look([entry for entry in listed if isinstance(entry, PageSource)]))
    for entry in listed:
        for found in _pages(entry, next(contents)) if isinstance(entry, PageSource) else [entry]:
            # A file whose pages cannot be counted is reported whatever pages are wanted.
            if options.pages is None or not isinstance(found, PageSource) or found.page in options.pages:
                yield found


def _stated(file: _File, name: str) -> FoundPage:
    """The file as its first page, with its size and time; not opened yet."""
    if file.stored is not None:
        return PageSource(file.stored.url, name, size=file.stored.size, mtime_ns=file.stored.stamp)
    path, reason = os.fspath(file.path), file.failure
    try:
        if not reason:
            status = _status(file.path)
            return PageSource(path, name, size=status.st_size, mtime_ns=status.st_mtime_ns)
    except PageError as error:
        reason = str(error)
    except OSError as error:
        reason = disk_reason(error, file.path)
    return PageSource(path, name), PageFailure(reason)


def _pages(source: PageSource, contents: Contents) -> Iterator[FoundPage]:
    for page in range(1, contents.pages + 1):
        yield replace(source, page=page, paged=contents.paged)
    if contents.failure:
        yield replace(source, page=contents.pages + 1, paged=contents.paged), PageFailure(contents.failure)


def _status(path: Path) -> os.stat_result:
    """What the system says of a file, opening it not yet: a pipe with the name of a scan would never end."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise PageError("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise PageError("not a file but a device or pipe")
    return status


def natural_order(name: str) -> tuple[Any, ...]:
    """A sort key for the names of scans: the order in which a folder's are found."""
    return _order(PurePosixPath(name).parts)


def _order(parts: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(_natural(part) for part in parts), parts


@functools.lru_cache(maxsize=10_000)  # the parts of folders come again with each of their files
def _natural(part: str) -> tuple[str | int, ...]:
    """A sort key under which page-2 comes before page-10, and A beside a."""
    pieces = re.split("([0-9]+)", part.casefold())
    return tuple(int(piece) if index % 2 else piece for index, piece in enumerate(pieces))


def _as_text(name: str) -> str:
    r"""A file name as text any file can hold: bytes that are no UTF-8 become \xNN."""
    escaped = re.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", name)
    return escaped.encode("utf-8", "backslashreplace").decode()


def _unique_names(files: list[_File]) -> list[str]:
    """The files' names, those that collide with the names of more and more of the folders above their input folder.

    Where that does not tell them apart (A.png beside a.png), they are counted.
    """
    names, depths = [file.name for file in files], [0] * len(files)
    while deepened := _to_deepen(files, names, depths):
        for index in deepened:
            depths[index] += 1
            above = "/".join(files[index].root.parts[-depths[index] :])
            names[index] = f"{_as_text(above)}/{files[index].name}"
    taken: set[str] = set()
    for index, name in enumerate(names):
        count = 1
        while _folded(names[index]) in taken:
            path, count = PurePosixPath(name), count + 1
            names[index] = str(path.with_name(f"{path.stem} ({count}){path.suffix}"))
        taken.add(_folded(names[index]))
    return names


def _to_deepen(files: list[_File], names: list[str], depths: list[int]) -> list[int]:
    """Which names collide and have folders left to be told apart by."""
    same: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        same.setdefault(_folded(name), []).append(index)
    return [
        index
        for group in same.values()
        if len(group) > 1 and len({files[index].root for index in group}) > 1
        for index in group
        if depths[index] + 1 < len(files[index].root.parts)  # parts[0] is the disk
    ]


def _folded(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
