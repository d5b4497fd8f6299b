"""What may go wrong on a machine, such as a full disk, in sentences that say what to do; wherever it comes up."""

import errno
import os
import re
from pathlib import Path

from safetensors import SafetensorError

from aftertone_model.errors import AftertoneError

BUG = "This is a bug in Aftertone; the worker's log has the details."

AGAIN = "the step is then done again."
ROOM = "Free some space, for instance by `aftertone clean`"
OWN = "Check who may write to MODEL_DIR, and give it to that user (`chown -R`)."
MOVE = "A file lies where a folder belongs. Move it away, or set MODEL_DIR to a folder."
DISK = {
    errno.ENOSPC: f"The disk with MODEL_DIR is full, or out of inodes (`df -h`, `df -i`). {ROOM}; {AGAIN}",
    errno.EDQUOT: f"The disk quota for MODEL_DIR is used up. {ROOM}, or raise the quota; {AGAIN}",
    errno.EFBIG: f"A file would get larger than the system allows. Raise the limit (`ulimit -f`); {AGAIN}",
    errno.EROFS: "The disk with MODEL_DIR is read-only. Mount it writable, or set MODEL_DIR to a folder elsewhere. A "
    "disk that turned read-only by itself may be failing.",
    errno.EACCES: f"The user that runs Aftertone may not read or write there. {OWN}",
    errno.EPERM: f"The user that runs Aftertone may not change that. {OWN}",
    errno.ENOTDIR: MOVE,
    errno.EEXIST: MOVE,
    errno.EIO: "The disk with MODEL_DIR fails. Look at the system's log (`dmesg`) and move MODEL_DIR to a sound disk.",
    errno.EMFILE: "Too many files are open. Raise the limit (`ulimit -n`) and start again.",
}
MEMORY = re.compile(r"out of memory|can.t allocate memory|cannot allocate memory", re.IGNORECASE)
AMOUNT = re.compile(r"allocate ([\d.,]+ ?\w+)")  # the one thing worth telling in the long texts of torch and numpy


def explain(error: Exception) -> str | None:
    """What happened and what to do, for people; None for an exception that nobody expects, which is a bug."""
    text = str(error)
    if isinstance(error, AftertoneError):
        return text
    if (code := _code(error)) in DISK:
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        return f"{DISK[code]}{where}"
    if isinstance(error, MemoryError) or code == errno.ENOMEM or MEMORY.search(text):
        amount = AMOUNT.search(text)
        wanted = f" for another {amount[1]}" if amount else ""
        return f"There is too little memory{wanted}. Free some, or use a smaller BACKBONE or DEVICE=cpu."
    if isinstance(error, SafetensorError):
        return f"Weights can't be read or written ({text}). Check the disk with MODEL_DIR; the step is done again."
    if isinstance(error, OSError):
        return f"A file can't be read or written ({text}). Check MODEL_DIR, its disk and who may write to it."
    return None


def unwritable(folder: Path) -> str | None:
    """Why nothing can be written into a folder, for people; None where it can, or where there is no such folder yet."""
    found = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not found.is_dir():
        code = errno.ENOTDIR
    elif os.statvfs(found).f_flag & os.ST_RDONLY:
        code = errno.EROFS
    elif not os.access(found, os.W_OK | os.X_OK):
        code = errno.EACCES
    else:
        return None
    return f"{DISK[code]} ({found})"


def _code(error: Exception) -> int | None:
    """The system's number of an error, also of one that a library put into words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", text):
        return errno.ENOSPC  # numpy's words
    return next((code for code in (*DISK, errno.ENOMEM) if os.strerror(code) in text), None)
