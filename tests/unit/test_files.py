"""Files that are whole or absent, by real processes, signals, links and limits."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from features.errors import UsageError
from features.files import OWNER_ONLY, locked, whole_file, write_once, write_private, write_whole

Writer = Callable[[Path, str | bytes], None]
WRITERS: tuple[Writer, ...] = (write_whole, write_private, write_once)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def disk_full_after(octets: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: the kernel refuses the write as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("writer", WRITERS)
def test_text_is_utf8_with_its_own_line_ends_and_bytes_stay_bytes(writer: Writer, tmp_path: Path) -> None:
    for name, content in (("text", "椎\r\nµ\n"), ("bytes", b"\xff\0\r\n")):
        writer(tmp_path / name, content)
        assert (tmp_path / name).read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert names(tmp_path) == ["bytes", "text"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "椎" * 85):
        write_whole(tmp_path / name, "content")
        assert (tmp_path / name).read_text() == "content"


def test_what_a_user_names_has_the_rights_of_any_file(tmp_path: Path) -> None:
    for mask in (0o022, 0o027, 0o077):
        with umask(mask):
            write_whole(tmp_path / "ours", "")
            (tmp_path / "any").write_text("")
        assert rights(tmp_path / "ours") == rights(tmp_path / "any")
        (tmp_path / "any").unlink()


@pytest.mark.parametrize("mask", [0, 0o077])
def test_rights_that_are_asked_for_do_not_depend_on_the_umask(mask: int, tmp_path: Path) -> None:
    with umask(mask):
        write_private(tmp_path / "keys", "")
        write_once(tmp_path / "key", "")
        write_once(tmp_path / "public", "", 0o644)
        write_whole(tmp_path / "patients", "", OWNER_ONLY)
        with whole_file(tmp_path / "other", 0o640) as draft:
            assert rights(draft) == 0o640  # not only once it has its name
    found = {name: rights(tmp_path / name) for name in ("keys", "key", "public", "patients", "other")}
    assert found == {"keys": 0o600, "key": 0o600, "public": 0o644, "patients": 0o600, "other": 0o640}


def test_a_file_that_was_open_to_all_is_not_once_it_is_private(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("old")
    (tmp_path / "keys").chmod(0o666)
    write_private(tmp_path / "keys", "new")
    assert rights(tmp_path / "keys") == 0o600


def test_a_link_that_a_user_names_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    write_whole(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and names(tmp_path) == ["link", "real"]


def test_nobody_can_lead_a_private_file_elsewhere_by_a_link(tmp_path: Path) -> None:
    """Neither to read what is written nor to have another file overwritten."""
    victim, link, once = tmp_path / "victim", tmp_path / "link", tmp_path / "once"
    victim.write_text("untouched")
    link.symlink_to(victim)
    once.symlink_to(tmp_path / "nowhere")
    write_private(link, "secret")
    write_once(once, "secret")
    assert victim.read_text() == "untouched" and not link.is_symlink() and link.read_text() == "secret"
    assert once.is_symlink() and names(tmp_path) == ["link", "once", "victim"]


def test_what_is_no_file_is_refused_and_left(tmp_path: Path) -> None:
    """The superuser who names /dev/null must not lose it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "pipe", tmp_path / "folder", Path("/dev/null")):
        with pytest.raises(UsageError, match="folder or a device"):
            write_whole(place, "text")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UsageError, match="leads back to itself"):
        write_whole(tmp_path / "circle", "text")
    (tmp_path / "circle").unlink()
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and Path("/dev/null").is_char_device()
    assert names(tmp_path) == ["folder", "pipe"]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_no_litter(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    for place in ("file", "fresh"):
        with disk_full_after(4096), pytest.raises(OSError, match="File too large"):
            writer(tmp_path / place, bytes(100_000))
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


def test_a_writer_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "old")
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "file") as draft:
        draft.write_text("half of the n")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


KILLED = """
import os, signal, sys
from pathlib import Path
from features import files
os.{call} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
files.{writer}(Path(sys.argv[1]), "new" * 100_000)
"""


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("writer", ["write_whole", "write_private"])
def test_a_process_killed_before_the_move_leaves_the_old_file(writer: str, call: str, tmp_path: Path) -> None:
    """Killed when it wrote and when it synced; what it leaves is hidden, named as its own, and in nobody's way."""
    place = tmp_path / "file"
    place.write_text("old")
    killed = subprocess.run([sys.executable, "-c", KILLED.format(writer=writer, call=call), place], check=False)
    assert killed.returncode == -signal.SIGKILL and place.read_text() == "old"
    (draft,) = (name for name in names(tmp_path) if name != "file")
    assert draft.startswith(".file.") and draft.endswith(".part")
    write_whole(place, "newer")
    assert place.read_text() == "newer"


def test_readers_meet_the_old_content_or_the_new_while_others_write(tmp_path: Path) -> None:
    place, contents = tmp_path / "file", [bytes([number]) * 50_000 for number in range(40)]
    write_private(place, contents[0])
    with ThreadPoolExecutor(3) as pool:
        for writing in (pool.map(lambda content: write_private(place, content), contents) for _ in range(2)):
            met = [place.read_bytes() for _ in range(200)]
            list(writing)
            assert all(found in contents for found in met)
    assert names(tmp_path) == ["file"]


def test_of_many_that_make_a_file_once_all_find_the_same(tmp_path: Path) -> None:
    place = tmp_path / "made" / "key"

    def make(number: int) -> bytes:
        write_once(place, str(number))
        return place.read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(40)))) == 1
    assert names(place.parent) == ["key"]


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []

    def enter(number: int) -> int:
        with locked(tmp_path / "home" / ".lock"):
            inside.append(number)
            others = len(inside)
            inside.remove(number)
            return others

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(enter, range(100))) == {1}
