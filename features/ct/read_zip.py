"""A zip of a DICOM series, unpacked under new names and never beyond its bounds."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

from features.ct.limits import MIB, Limits, refuse


def unpack(path: Path, folder: Path, limits: Limits) -> list[Path]:
    """Files of the zip, written to ``folder`` as numbers. Nothing is written unless every name and size is in order."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _check(members, limits)
            return [_extract(archive, info, folder / f"{n:06d}", limits) for n, info in enumerate(members)]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
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


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, limits: Limits) -> Path:
    # zipfile stops at the declared size, which was summed above, so that a lie in the directory gains nothing
    with archive.open(info) as source, target.open("wb") as out:
        while piece := source.read(MIB):
            out.write(piece)
    return target
