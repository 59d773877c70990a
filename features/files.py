"""Files that are whole or absent: whoever reads one, or comes back after a crash, meets the old content or the new.

Every file is written beside its place under a hidden name, brought to disk, and moved there in one step; then the
folder is brought to disk too. What fails on the way (a full disk, a signal that Python turns into an exception) takes
the draft with it. A killed process leaves its draft, ``.NAME.*.part``, and the old file.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.errors import UsageError

#: The rights of what only its owner may read: keys, and rows of patients.
OWNER_ONLY = 0o600


@contextmanager
def whole_file(path: Path, mode: int | None = None) -> Iterator[Path]:
    """An empty file to write to; it takes the place of ``path`` when the block ends well and is removed otherwise.

    For files that a user names: a link stays one and what it leads to is replaced; what is no file (a device, a
    folder) is refused with ``UsageError``. ``mode``: its rights, by default those that the umask leaves.
    """
    try:
        place = path.resolve()
    except RuntimeError:  # what Python 3.11 says of links in a circle
        raise UsageError(f"{path}: a link that leads back to itself stands there: name a file") from None
    if place.exists() and not place.is_file():
        raise UsageError(f"{path}: a folder or a device stands there: name a file")
    with _draft(place, mode) as draft:
        yield draft
        _put(draft, place)


def write_whole(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a file that a user names; see ``whole_file``. Text becomes UTF-8, its line ends stay."""
    with whole_file(path, mode) as draft:
        draft.write_bytes(_bytes(content))


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file of our own, readable by its owner only: its folder is made, a link in its place is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path, OWNER_ONLY) as draft:
        draft.write_bytes(_bytes(content))
        _put(draft, path)


def write_once(path: Path, content: str | bytes, mode: int = OWNER_ONLY) -> None:
    """Write a file of our own unless there is one already, or another process is faster: that one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path, mode) as draft:
        draft.write_bytes(_bytes(content))
        sync(draft)
        with suppress(FileExistsError):
            os.link(draft, path)
        sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some network file systems cannot do it for a folder
            raise
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, made if needed: of all processes that ask for it one at a time goes on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextmanager
def _draft(place: Path, mode: int | None) -> Iterator[Path]:
    """An empty file beside the place, gone at the end."""
    draft = place.with_name(f".{place.name[:40]}.{secrets.token_hex(8)}.part")
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else mode)
    try:
        if mode is not None:
            os.fchmod(handle, mode)  # whatever the umask
        os.close(handle)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _put(draft: Path, place: Path) -> None:
    sync(draft)
    draft.replace(place)
    sync(place.parent)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
