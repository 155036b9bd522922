"""A backup's file: a tar, compressed with zstd, whose last member says what the others must be (docs/backup.md).

    database/monitor.db or database/dump, evidence/..., papers/..., anchors/..., config/..., manifest.json

`tar --zstd -xf FILE` and `sha256sum` are enough to look into one without the product.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import zstandard

from monitor.errors import MonitorError

MANIFEST = "manifest.json"
VERSION = 1
_LEVEL = 6
_CHUNK = 1 << 20
#: What may be in one: nothing that leads out of the folder it is unpacked into.
_NAME = re.compile(
    r"database/(?:monitor\.db|dump)|papers/[0-9a-f]{2}/[0-9a-f]{64}"
    r"|(?:evidence|config|config/reports|anchors)/[^/\\.\x00-\x1f][^/\\\x00-\x1f]*",
)
#: A manifest is a line a file.
_LONGEST_MANIFEST = 256 << 20

#: Called with what is being copied and how many bytes of it went through since the last call.
Progress = Callable[[str, int], None]


def silent(_name: str, _more: int) -> None:
    """Shows nothing."""


class Entry(NamedTuple):
    """A member, as the manifest has it."""

    name: str
    bytes: int
    sha256: str


class Bundle:
    """One that is being written. Use :func:`writing`."""

    def __init__(self, tar: tarfile.TarFile, progress: Progress) -> None:
        self._tar = tar
        self._progress = progress
        self.entries: list[Entry] = []

    def add(self, name: str, source: IO[bytes], size: int) -> None:
        """The next `size` bytes of `source`; raises MonitorError where there are fewer."""
        if not _NAME.fullmatch(name):
            raise MonitorError(f"{name!r} cannot be in a backup; rename the file")
        reader = _Hashing(source, size, lambda more: self._progress(name, more))
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        try:
            self._tar.addfile(info, reader)
        except OSError as error:
            if reader.left:
                raise MonitorError(f"{name} became shorter while it was copied: {error}") from None
            raise
        self.entries.append(Entry(name, size, reader.hash.hexdigest()))

    def add_file(self, name: str, path: Path) -> None:
        with path.open("rb") as source:
            self.add(name, source, os.fstat(source.fileno()).st_size)


class _Hashing:
    def __init__(self, source: IO[bytes], size: int, moved: Callable[[int], None]) -> None:
        self._source, self.left, self._moved = source, size, moved
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(self.left if size < 0 else min(size, self.left))
        self.left -= len(data)
        self.hash.update(data)
        self._moved(len(data))
        return data


@contextmanager
def writing(path: Path, about: dict[str, Any], progress: Progress = silent) -> Iterator[Bundle]:
    """A new bundle, mode 0600, there once it is whole and durable. Raises MonitorError where there is one already.

    `about`: what the manifest says besides its files; it may grow while the block runs.
    """
    if path.exists():
        raise MonitorError(f"{path} exists; nothing is written over it")
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise MonitorError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:
            packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
            with (
                packer.stream_writer(file, closefd=False) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                bundle = Bundle(tar, progress)
                yield bundle
                files = [entry._asdict() for entry in bundle.entries]
                text = json.dumps({"v": VERSION, **about, "files": files}, ensure_ascii=False, indent=1).encode()
                info = tarfile.TarInfo(MANIFEST)
                info.size, info.mode = len(text), 0o600
                tar.addfile(info, io.BytesIO(text))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise MonitorError(f"{error.filename or path}: {error.strerror or error}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def unpack(path: Path, folder: Path, progress: Progress = silent) -> dict[str, Any]:
    """Unpack into an empty folder, for us alone to read, and hold every file against the manifest, which is answered.

    Raises MonitorError where one is damaged, missing, or not of a backup. What was unpacked by then stays.
    """
    found: dict[str, Entry] = {}
    manifest: dict[str, Any] | None = None
    try:
        with path.open("rb") as file:
            plain = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            with tarfile.open(fileobj=plain, mode="r|") as tar:
                for info in tar:
                    source = tar.extractfile(info)
                    if source is None or info.name in found or manifest is not None:
                        raise MonitorError(f"{path}: is no backup: {info.name!r}")
                    if info.name == MANIFEST:
                        manifest = json.loads(source.read(_LONGEST_MANIFEST))
                    elif _NAME.fullmatch(info.name):
                        found[info.name] = _unpack_one(info, source, folder, progress)
                    else:
                        raise MonitorError(f"{path}: is no backup: {info.name!r}")
    except OSError as error:
        raise MonitorError(f"{path}: cannot be unpacked: {error.strerror or error}") from None
    except (zstandard.ZstdError, tarfile.TarError, EOFError, ValueError) as error:
        raise MonitorError(f"{path}: is damaged, or no backup: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), list):
        raise MonitorError(f"{path}: is damaged: it has no manifest")
    if manifest.get("v") != VERSION:
        raise MonitorError(f"{path}: was made by another version (form {manifest.get('v')}; expected {VERSION})")
    try:
        wanted = {entry.name: entry for entry in (Entry(**one) for one in manifest["files"])}
    except TypeError:
        raise MonitorError(f"{path}: is damaged: its manifest is not one of ours") from None
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise MonitorError(f"{path}: is damaged: {name} is not what its manifest says")
    return manifest


def _unpack_one(info: tarfile.TarInfo, source: IO[bytes], folder: Path, progress: Progress) -> Entry:
    target = folder / info.name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    hashed = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as sink:
        while data := source.read(_CHUNK):
            hashed.update(data)
            sink.write(data)
            progress(info.name, len(data))
        sink.flush()
        os.fsync(sink.fileno())
    return Entry(info.name, info.size, hashed.hexdigest())
