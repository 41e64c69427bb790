"""Files that commands make for their user: whole or not there, never over another, for nobody else to read."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from claude_code_api.errors import ConfigError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Hand out an empty file (0600) that becomes `path` when the block ends well, and is gone when it does not.

    Raises ConfigError when `path` exists, or cannot be written: also for an OSError of the block.
    """
    if os.path.lexists(path):
        raise ConfigError(f"{path} exists already. Choose another name, or remove it first.")
    if not path.parent.is_dir():
        raise ConfigError(f"There is no directory {path.parent}.")
    part: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
        part = Path(name)
        try:
            yield part
            os.fsync(handle)
        finally:
            os.close(handle)
        _move(part, path)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists already. Choose another name, or remove it first.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _move(part: Path, path: Path) -> None:
    """Give a file its name, unless another got it meanwhile. Raises FileExistsError."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        part.rename(path)
