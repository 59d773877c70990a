"""A zip of a DICOM series, unpacked under new names and never beyond its bounds."""

from __future__ import annotations

import lzma
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from features.ct.limits import MIB, Limits, refuse


def unpack(path: Path, folder: Path, limits: Limits) -> list[Path]:
    """Files of the zip, in ``folder`` as numbers with their endings; none unless every name and size is in order.

    What a system adds for itself (hidden files, ``__MACOSX``) is left out.
    """
    folder.mkdir()
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _check(members, limits)
            wanted = [info for info in members if not _of_the_system(info.filename)]
            return [_extract(archive, info, folder / _plain_name(n, info)) for n, info in enumerate(wanted)]
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError, RuntimeError,
            ValueError, OSError) as error:  # fmt: skip
        raise refuse("truncated", "The zip is damaged, encrypted or ends early: make it again.") from error


def _check(members: list[zipfile.ZipInfo], limits: Limits) -> None:
    for info in members:
        name = info.filename.replace("\\", "/")
        if name.startswith("/") or ".." in PurePosixPath(name).parts or ":" in name.split("/")[0]:
            raise refuse("zip_path", "The zip holds a name that leads out of it: make it again from the series.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise refuse("zip_path", "The zip holds a link: make it again from the series' folder.")
    if len(members) > limits.files:
        raise refuse("image_too_large", f"The zip holds more than {limits.files} files: give one series.")
    if sum(info.file_size for info in members) > limits.decoded_bytes:
        raise refuse("image_too_large", f"The zip unpacks to more than {limits.decoded_bytes // MIB} MiB.")


def _of_the_system(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _plain_name(number: int, info: zipfile.ZipInfo) -> str:
    """A name of ours; names such as DICOMDIR and endings tell slices from what lies beside them."""
    name = PurePosixPath(info.filename.replace("\\", "/")).name
    if re.fullmatch(r"(?i)dicomdir|readme|license|version|lockfile", name):
        return f"{number:06d}.extra"
    found = re.search(r"\.[A-Za-z0-9]{1,8}$", name)
    return f"{number:06d}{found.group() if found else ''}"


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> Path:
    # zipfile stops at the declared size, which was summed above, so that a lie in the directory gains nothing
    with archive.open(info) as source, target.open("wb") as out:
        while piece := source.read(MIB):
            out.write(piece)
    return target
