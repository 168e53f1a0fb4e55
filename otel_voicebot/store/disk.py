"""Every effect of the store on the file system, a step a function, so that a test can order, break or forget each.

Call them through the module (``disk.rename(...)``), never by an imported name: a test that takes one over sees them all
then. POSIX only: a rename within one file system is atomic for readers, the fsync of a file and of its directory makes
an entry durable, and a file that is open stays readable after it was removed.

All of them raise OSError where the file system refuses, unless they say otherwise.
"""

import contextlib
import os
import stat
from pathlib import Path

import pyarrow as pa

__all__ = [
    "exists",
    "free_bytes",
    "identity",
    "link",
    "make",
    "make_one",
    "modified_ns",
    "names",
    "read",
    "remove",
    "remove_directory",
    "rename",
    "size",
    "sync_directory",
    "sync_file",
    "write",
    "write_durable",
]


def write(path: Path, content: bytes | pa.Buffer, *, durable: bool) -> None:
    """Write a file that must not exist yet; ``durable`` fsyncs its bytes (not its name: ``sync_directory``).

    Raises:
        FileExistsError: there is such a file.
        OSError: as much as was written stays; the caller removes it.
    """
    # One descriptor writes and fsyncs: a write error can't be lost between two of them.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durable(path: Path, tmp: Path, content: bytes | pa.Buffer) -> None:
    """Make a file appear whole, or replace one, in one step, durably. For small files: marks, leases, manifests.

    Args:
        path: what it is called; its directory exists.
        tmp: what it is called until it is whole, in the same file system; nobody else uses that name.
        content: all of it.
    """
    try:
        write(tmp, content, durable=True)
        rename(tmp, path)
    except OSError:
        with contextlib.suppress(OSError):
            remove(tmp)
        raise
    sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable that another library wrote and has closed."""
    _sync(path, os.O_RDONLY)


def sync_directory(directory: Path) -> None:
    """Make durable which names the directory holds: what was made, renamed and removed in it, by whomever."""
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)


def rename(source: Path, target: Path) -> None:
    """Rename a file within the file system, over the target when there is one. Durable by ``sync_directory``.

    Raises:
        FileNotFoundError: the source, or the target's directory, is gone.
    """
    os.rename(source, target)  # noqa: PTH104 - one call, one step


def link(source: Path, target: Path) -> None:
    """Give a file a second name.

    Raises:
        FileExistsError: the target's name is taken.
        FileNotFoundError: the source, or the target's directory, is gone.
    """
    os.link(source, target)


def remove(path: Path) -> bool:
    """Remove a file; False when it was gone already."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def remove_directory(directory: Path) -> bool:
    """Remove an empty directory; False when it was gone already.

    Raises:
        OSError: it is not empty, for example because a late writer has put a file there.
    """
    try:
        directory.rmdir()
    except FileNotFoundError:
        return False
    return True


def make(directory: Path) -> None:
    """Make a directory and its parents, and sync the entry of each one made. One that is there is left as it is."""
    if directory.is_dir():
        return
    if directory.parent != directory:
        make(directory.parent)
    make_one(directory)
    sync_directory(directory.parent)


def make_one(directory: Path) -> bool:
    """Make a directory whose parent exists; False when it was there already. Durable by ``sync_directory``."""
    try:
        directory.mkdir()
    except FileExistsError:
        if not directory.is_dir():
            raise
        return False
    return True


def names(directory: Path | str) -> list[str]:
    """The names in a directory, sorted; none when it is not there, or no longer, or is a file."""
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names, not paths
    except (FileNotFoundError, NotADirectoryError):
        return []


def exists(path: Path) -> bool:
    """True when there is a file or a directory of this name. One stat, about 2 µs."""
    try:
        os.stat(path)  # noqa: PTH116 - a Path's exists() also hides a loop or a name that is too long
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def modified_ns(path: Path) -> int | None:
    """When a file was last written or touched, or names in a directory changed, in nanoseconds; None when gone."""
    found = _stat(path)
    return found.st_mtime_ns if found else None


def identity(path: Path | str) -> tuple[int, int] | None:
    """What changes when a file is replaced or written (inode and time of change); None when it is gone."""
    found = _stat(path)
    return (found.st_ino, found.st_mtime_ns) if found else None


def size(path: Path) -> int | None:
    """Bytes of a regular file; None when it is gone or something else."""
    found = _stat(path)
    return found.st_size if found and stat.S_ISREG(found.st_mode) else None


def read(path: Path) -> bytes | None:
    """The content of a small file; None when it is gone."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def free_bytes(directory: Path) -> int:
    """Bytes that this user can still write in the file system that holds the directory."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def _stat(path: Path | str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - a text too
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
