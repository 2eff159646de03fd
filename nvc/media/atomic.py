"""Output files that appear complete or not at all."""

import contextlib
import errno
import os
import secrets
import stat
from types import TracebackType
from typing import BinaryIO, Self

from nvc.media.errors import MediaError


def write_error(path: str, error: OSError) -> MediaError:
    """The sentence for an operating system's refusal to write `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MediaError(f"no space left while writing {path}; nothing was kept")
    return MediaError(f"cannot write {path}: {error.strerror or error}")


def _mode(path: str) -> int:
    """File mode of `path`, that of a regular file when there is none yet; a name the system refuses raises OSError."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return stat.S_IFREG


class AtomicOutput:
    """A binary file under a temporary name beside `path`, which takes its place on `commit`.

    Write to `.file`; OSErrors of those writes are the caller's (see `write_error`). As a context manager it commits on
    a normal exit and aborts on an exception. Devices and pipes cannot be replaced and are written directly.
    Raises MediaError when the file cannot be created or completed; the temporary is then gone.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._target = os.path.realpath(path)  # through a symbolic link: the link itself stays
        self._temporary: str | None = None
        self._ended = False
        try:
            mode = _mode(self._target)
            if stat.S_ISDIR(mode):
                raise MediaError(f"cannot write {path}: it is a directory")
            if not stat.S_ISREG(mode):
                self.file: BinaryIO = os.fdopen(os.open(self._target, os.O_WRONLY), "wb")
                return
            self._temporary = os.path.join(os.path.dirname(self._target), f".nvc-{secrets.token_hex(8)}.tmp")
            # not tempfile: its files are readable by the owner only, whatever the umask says
            fd = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
            self.file = os.fdopen(fd, "w+b")
        except OSError as error:
            raise write_error(path, error) from error

    def finish(self) -> None:
        """Bring the bytes to the disk and close the file, still under its temporary name."""
        if self.file.closed:
            return
        try:
            self.file.flush()
            if self._temporary is not None:
                os.fsync(self.file.fileno())
            self.file.close()
        except OSError as error:
            self.abort()
            raise write_error(self.path, error) from error

    def commit(self) -> None:
        """Finish and rename over `path`. Does nothing after an earlier commit or abort."""
        if self._ended:
            return
        self.finish()
        self._ended = True
        if self._temporary is None:
            return
        try:
            os.replace(self._temporary, self._target)
        except OSError as error:
            self._remove()
            raise write_error(self.path, error) from error
        # the rename itself lives in the directory; not every file system lets a directory be opened or synced
        with contextlib.suppress(OSError):
            directory = os.open(os.path.dirname(self._target), os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def abort(self) -> None:
        """Remove the temporary; `path` is as it was. Does nothing after a commit."""
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(OSError):  # closing flushes, and the disk may be full
            self.file.close()
        self._remove()

    def _remove(self) -> None:
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
            return
        self.abort()
        if isinstance(error, OSError):
            raise write_error(self.path, error) from error


def atomic_output(path: str) -> AtomicOutput:
    """Open `path` for an all-or-nothing write."""
    return AtomicOutput(path)
