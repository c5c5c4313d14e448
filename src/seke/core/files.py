"""Writing of files that appear whole or not at all and outlast a power cut, and who may read them.

    with whole(run / "rows.jsonl") as file: ...    a file under a passing name, which takes its own once it is on disk
    with replacing(run / "face.jpg") as part: ...  the same for writers that want a name; safe from kills alone
    with journal(run / "answers.jsonl") as file:   a file that grows line by line; what a kill left of its last is cut
    folder(run)                                    a folder for its owner only, or for whom `permit` says

What a kill leaves of a file under its passing name ends with `.part`; whoever holds the folder clears that away.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, TextIO

PART: Final = ".part"
PRIVATE: Final = 0o700
"""Pictures of faces and what is said of them concern nobody but who made the run."""

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
NO_WAY: Final = (
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
    errno.ENOTEMPTY, errno.EBUSY, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.EILSEQ,
)  # fmt: skip
"""What the system says of a file that cannot be used."""
NO_ROOM_MESSAGES: Final = ("No space left on device", "Disk quota exceeded", "File too large", "file write failed")
"""Messages of libraries with writers of their own where there is no room."""

_mode = PRIVATE


def permit(mode: int) -> None:
    """Let folders that are made from now on have this mode, as of chmod, and files the same but for execution."""
    global _mode
    _mode = mode


def folder(path: Path) -> Path:
    """Make a folder, unless it is there, with the mode that is permitted; those above it get the system's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=_mode)
        _widen(path, _mode)
    if not path.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(path))
    return path


def new(path: Path) -> None:
    """Make an empty file with the mode that is permitted, unless there is one."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _mode & 0o666))
        _widen(path, _mode & 0o666)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write a file under, which takes the place of `path` at the end.

    So the file appears whole or not at all to other processes and after a kill, with the mode that its writer gives it;
    only `whole` outlasts a power cut.
    """
    part = path.with_name(f"{path.name[:200]}.{secrets.token_hex(4)}{PART}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Yield a file to write that takes the place of `path` at the end, when all of it is on the disk.

    Args:
        path: the file, in a folder that is there.
        mode: w for text in UTF-8, wb for bytes.
    """
    with replacing(path) as part:
        new(part)
        with part.open(mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write `text` so that the file appears whole or not at all."""
    with whole(path) as file:
        file.write(text)


def journal(path: Path) -> TextIO:
    """Open a journal, which may be there already, for more lines; a last one that a kill has torn is cut off."""
    cut_torn(path)
    return path.open("a", encoding="utf-8")


def append(file: TextIO, lines: Iterable[str], durable: bool = True) -> None:
    """Write lines at the end of a journal, safe from a kill and, if `durable`, from a power cut."""
    file.writelines(line + "\n" for line in lines)
    file.flush()
    if durable:
        os.fsync(file.fileno())


def whole_lines(path: Path) -> Iterator[bytes]:
    """Yield a journal's lines without their ends, but not a last one that is torn or just being written."""
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return  # the rest of it may come while we read
            yield line[:-1]


def cut_torn(path: Path, read: Callable[[bytes], object] = bytes) -> int:
    """Cut off what a kill or a power cut has left of a journal's end, and return how many lines are left.

    Args:
        path: the journal; none has no lines.
        read: raises ValueError for a damaged line, which then goes with all that follow it.
    """
    if not path.is_file():
        return 0
    count = length = 0
    with path.open("rb") as file:
        for line in file:
            try:
                read(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            count, length = count + 1, length + len(line)
    os.truncate(path, length)
    return count


def sync(path: Path) -> None:
    """Bring a folder's own entries to the disk, where the file system can do that."""
    if os.name != "posix":
        return
    entry = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network drives refuse; the names are then as safe as these make them
            os.fsync(entry)
    finally:
        os.close(entry)


def clear_parts(path: Path, name: str = "*") -> None:
    """Remove what killed processes left half-written directly in a folder that nobody else writes into."""
    for left in path.glob(f"{name}{PART}"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def mistake(error: BaseException, outputs: Path | None) -> str | None:
    """Return one line about the file or disk that `error` is about; None if it is about something else.

    Args:
        error: what was raised; not what it was raised from.
        outputs: the setting `paths.outputs`, below which everything is written; None where there is no such setting.
    """
    reason = next((message for message in NO_ROOM_MESSAGES if message in str(error)), "")
    name: str | None = None
    if isinstance(error, OSError):
        if type(error).__module__ != "builtins" or error.errno not in (*NO_ROOM, *NO_WAY):
            return _unwritten("cannot be written", reason, outputs) if reason else None
        named = error.filename2 if error.filename2 is not None else error.filename
        name, reason = None if named is None else os.fsdecode(os.fspath(named)), str(error.strerror)
        if name is None and error.errno not in NO_ROOM:
            return None
    if not reason:
        return None
    if name is None or (outputs is not None and _is_below(Path(name), outputs)):
        return _unwritten(f"{name} cannot be written" if name else "cannot be written", reason, outputs)
    return f"file={name}: cannot be used ({reason}); see whether it is there and to its permissions"


def _unwritten(what: str, reason: str, outputs: Path | None) -> str:
    """Return the line of what is not written, below `outputs` or nobody knows where."""
    remedy = "see to permissions and free room, then run the same command again"
    if outputs is None:
        return f"disk: {what} ({reason}); {remedy}"
    return f"paths.outputs={outputs}: {what} ({reason}); {remedy}, or set paths.outputs= elsewhere"


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _widen(path: Path, mode: int) -> None:
    """Grant what the process's umask holds back, where more than that is permitted."""
    with suppress(OSError):  # drives without modes
        now = path.stat().st_mode & 0o7777
        if now | mode != now:
            path.chmod(now | mode)
