"""Turn disk and memory errors of all libraries into errors for users.

Python's own errors carry the number of the system's. HDF5 and safetensors, TensorFlow and OpenVINO report the same in
the text of errors of their own.
"""

from __future__ import annotations

import errno
import os
import re

from tlkit.errors import RunError, TlkitError

_ROOM = "free some space, or choose another folder with --out or TLKIT_CACHE."
_RIGHTS = "change the permissions, or choose another folder with --out or TLKIT_CACHE."
_DEVICE = "check the disk or the network drive, then run the command again."
_PROBLEMS = {
    errno.ENOSPC: ("a disk with free space", _ROOM),
    errno.EDQUOT: ("free space in the disk quota", _ROOM),
    errno.EFBIG: ("a file system that supports files of this size", _ROOM),
    errno.EROFS: ("a writable location", _RIGHTS),
    errno.EACCES: ("permission to read or write the file or folder", _RIGHTS),
    errno.EPERM: ("permission to read or write the file or folder", _RIGHTS),
    errno.EIO: ("a working disk", _DEVICE),
    errno.ENXIO: ("a working disk", _DEVICE),
    errno.ENODEV: ("a working disk", _DEVICE),
    errno.ESTALE: ("a network drive that stays connected", _DEVICE),
    errno.ETIMEDOUT: ("a network drive that responds", _DEVICE),
    errno.EHOSTDOWN: ("a network drive that responds", _DEVICE),
    errno.EBUSY: (
        "a file or folder that no other program uses",
        "close the program that uses it, then run the command again.",
    ),
    errno.ENOENT: ("a file or folder that exists while the command runs", "run the command again."),
    errno.ENOTDIR: ("a path through folders only", "move the file that is in the way, or use another path."),
    errno.EEXIST: ("a path that does not exist yet", "move it, or use another path."),
    errno.EISDIR: ("a file, not a folder", "move the folder, or use another path."),
    errno.ENOTEMPTY: ("an empty folder", "move its contents, or use another path."),
    errno.ELOOP: ("a path without circular links", "fix the links, or use another path."),
    errno.ENAMETOOLONG: ("a name that the file system accepts", "choose a shorter name."),
    errno.ENOMEM: (
        "enough free memory",
        "close other programs, or use a smaller --image-size.",
    ),
    errno.EMFILE: ("fewer open files than the system's limit", "raise the limit, for instance with `ulimit -n 4096`."),
    errno.ENFILE: ("fewer open files than the system's limit", "close other programs, then run the command again."),
}
_NUMBER_IN_WORDS = re.compile(r"\b(?:errno = |\(os error )(\d+)")


def explain_disk_error(error: BaseException) -> TlkitError | None:
    """Return the message for what a disk refuses, or None if `error` is something else."""
    number = _find_number(error)
    if number not in _PROBLEMS:
        return None
    expected, fix = _PROBLEMS[number]
    filename = getattr(error, "filename", None)
    place = f"{os.fsdecode(filename)}: " if isinstance(filename, (str, bytes)) else ""
    # Other libraries name the file in their text, if at all.
    is_of_the_system = (isinstance(error, OSError) and error.errno) or not str(error)
    words = os.strerror(number) if is_of_the_system else _first_line(error)
    return RunError(f"{place}{words}.", expected=expected, fix=fix)


def _find_number(error: BaseException) -> int:
    """Return the `errno` that an error stands for; 0 if it stands for none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    text = str(error)
    if match := _NUMBER_IN_WORDS.search(text):
        return int(match[1])
    # Not all of them: a file that is missing or in the way may as well be a bug.
    device = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
    return next((number for number in device if os.strerror(number).lower() in text.lower()), 0)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
