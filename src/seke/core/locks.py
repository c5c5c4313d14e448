"""Lock on a run's directory: one process at a time; a second one is refused, one that died is not in the way.

The lock is the system's own on the file `.lock` in the directory, which is dropped with the process, however it ends,
and which network drives know, too. Where a drive knows no locks, what the file says (host and process) decides: a
process of this host that is gone holds nothing; of one on another host the user has to say so, by removing the file.
"""

import errno
import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from seke.core import files
from seke.core.errors import UserError

if sys.platform != "win32":
    import fcntl

NAME: Final = ".lock"
NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What drives say that know no locks."""

_held: dict[Path, int] = {}
"""Open lock files by path; closing another descriptor of such a file would drop the lock, so nobody else opens it."""


def hold(folder: Path, rank: str = "0") -> None:
    """Lock `folder`, which is there, until `release` or the end of this process; where it is held already, do nothing.

    Several processes that work together on one run each hold a lock of their own, by their `rank`.

    Raises:
        UserError: if another process holds it.
    """
    path = (folder / (NAME if rank == "0" else f"{NAME}.{rank}")).absolute()
    if path in _held:
        return
    while True:
        files.new(path)
        descriptor = os.open(path, os.O_RDWR)
        try:
            free = _lock(descriptor)
            if free is False or (free is None and _is_alive(_holder(descriptor))):
                raise _refusal(folder, path, _holder(descriptor), free)
            if _is(descriptor, path):
                break  # else it has just been released, and removed
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode(), 0)
    _held[path] = descriptor


def release(folder: Path) -> None:
    """Unlock `folder` and remove the lock files of this process; nothing where it holds none."""
    for path in [path for path in _held if path.parent == folder.absolute()]:
        descriptor = _held.pop(path)
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def held_by_others(folder: Path) -> bool:
    """Whether another process works in `folder`, by whatever rank; what dead ones have left there is removed."""
    for path in folder.absolute().glob(f"{NAME}*"):
        if path in _held:
            continue
        descriptor = os.open(path, os.O_RDWR)
        try:
            free = _lock(descriptor)
            if free is False or (free is None and _is_alive(_holder(descriptor))):
                return True
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    return False


def is_lock(path: Path) -> bool:
    """Whether a file is such a lock, by its name."""
    return path.name == NAME or path.name.startswith(f"{NAME}.")


def _lock(descriptor: int) -> bool | None:
    """Return whether the file could be locked; None where its drive knows no locks."""
    if sys.platform == "win32":
        return None
    try:
        # Of the two kinds of lock the one that a forked child does not inherit, and that network drives know.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _is(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _holder(descriptor: int) -> dict[str, Any]:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _is_alive(holder: dict[str, Any]) -> bool:
    """Whether the process that a lock file names may still be there."""
    if holder.get("host") != socket.gethostname():
        return bool(holder)
    try:
        os.kill(int(holder["process"]), 0)
    except (ProcessLookupError, KeyError, TypeError, ValueError):
        return False
    except PermissionError:
        return True
    return int(holder["process"]) != os.getpid()


def _refusal(folder: Path, path: Path, holder: dict[str, Any], free: bool | None) -> UserError:
    here = holder.get("host") in (None, socket.gethostname())
    who = f"process {holder.get('process', '?')}" + ("" if here else f" on {holder['host']}")
    remedy = "wait until it has ended, or choose another name="
    if free is None:
        remedy += f"; if that process is gone, remove {path}"
    return UserError("name", folder.name, f"{folder} is in use by {who}", remedy)
