"""The child process that decodes an image. It runs with bounded memory and time; its parent is ``sandbox``.

Image decoders are large C libraries fed with files from outside: a damaged or hostile file may crash or fill this
process and nothing else.
"""

from __future__ import annotations

import errno
import json
import resource
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from features.ct.limits import Limits, refuse
from features.ct.raw import VOXELS_FILE, Header, write_header
from features.errors import ImageRejected

ERROR_FILE, REQUEST_FILE = "error.json", "request.json"


def decode(path: Path, folder: Path, role: str, limits: Limits) -> Header:
    """Decodes whatever ``path`` is: a folder or zip of DICOM, a DICOM file, or NIfTI."""
    if path.is_dir():
        paths = sorted(file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
        return _decode_files(paths[: limits.files + 1], folder, role, limits)
    if not path.is_file():
        raise refuse("not_found", "There is no such file or folder.", role)
    with path.open("rb") as file:
        start = file.read(132)
    if start[:4] == b"PK\x03\x04":
        from features.ct.read_zip import unpack

        return _decode_files(unpack(path, folder / "unpacked", limits), folder, role, limits)
    if start[128:132] == b"DICM":
        return _decode_files([path], folder, role, limits)
    decode_nifti = _nifti_reader()
    return decode_nifti(path, folder, role, limits)


def _nifti_reader() -> Callable[[Path, Path, str, Limits], Header]:
    """``decode_nifti``, whose nibabel loads pydicom wherever it finds it: half of what a small NIfTI would wait for."""
    unneeded = "pydicom" not in sys.modules
    if unneeded:
        sys.modules["pydicom"] = None  # type: ignore[assignment]
    try:
        from features.ct.read_nifti import decode_nifti
    finally:
        if unneeded:
            del sys.modules["pydicom"]
    return decode_nifti


def _decode_files(paths: list[Path], folder: Path, role: str, limits: Limits) -> Header:
    """DICOM files: the series for an image, the one segmentation among them for labels."""
    if len(paths) > limits.files:
        raise refuse("image_too_large", f"More than {limits.files} files were found: give one series.", role)
    from features.ct.read_dicom import decode_dicom, read_header

    if role == "image":
        return decode_dicom(paths, folder, limits)
    from features.ct.read_seg import decode_seg

    segmentations = [p for p in paths if (d := read_header(p, limits)) is not None and d.get("Modality") == "SEG"]
    if len(segmentations) != 1:
        raise refuse("no_labels", "Expected exactly one DICOM segmentation: name its file.", "labels")
    return decode_seg(segmentations[0], folder, limits)


def _bound(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
    largest = 2 * limits.decoded_bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Reads the request (a JSON file, the argument), leaves voxels and header, or the refusal, in its folder."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder, limits = Path(request["folder"]), Limits(**request["limits"])
    _bound(limits)
    warnings.simplefilter("ignore")
    try:
        write_header(folder, decode(Path(request["path"]), folder, request["role"], limits))
    except ImageRejected as error:
        _leave(folder, error)
    except MemoryError:
        raise
    except Exception as error:
        _leave(folder, unreadable(error, request["role"]))
    return 0


def unreadable(error: Exception, role: str) -> ImageRejected:
    """The refusal for a fault that no reader foresaw.

    The message of a parser may hold what it could not read, which may be a patient's: only its kind goes out.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        detail = "The disc of the temporary files is full: free room on it, or name another (TMPDIR)."
        return refuse("no_room", detail, role)
    detail = f"The {role} cannot be read ({type(error).__name__} at {_place(error)}): export it again."
    return refuse("unreadable", detail, role)


def _leave(folder: Path, error: ImageRejected) -> None:
    # what was decoded so far is of no use, and on a full disc leaves no room to say so
    (folder / VOXELS_FILE).unlink(missing_ok=True)
    report = {"message": str(error), "findings": [asdict(finding) for finding in error.findings]}
    (folder / ERROR_FILE).write_text(json.dumps(report), encoding="utf-8")


def _place(error: BaseException) -> str:
    """Module and line of the innermost frame, for a report of the fault."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


if __name__ == "__main__":
    sys.exit(main())
