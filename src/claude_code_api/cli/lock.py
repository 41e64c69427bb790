"""The lock of a data directory: one server at a time, and nothing that rewrites its files beside one.

Owns the file `lock`. The lock goes with the process that holds it, however that ends; the file stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from claude_code_api.errors import ConfigError


@contextlib.contextmanager
def lock(data_dir: Path, *, refusal: str | None = None) -> Iterator[None]:
    """Keep others out of the data directory. Raises ConfigError, in the words of `refusal`, when one is in it."""
    import fcntl

    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = (data_dir / "lock").open("w")
    except OSError as error:
        raise ConfigError(f"[server] data_dir: {data_dir} cannot be used: {error.strerror}.") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                refusal or f"Another server uses {data_dir}. Stop it, or choose another --data-dir."
            ) from error
        yield


def is_held(data_dir: Path) -> bool:
    """Whether a server is in the data directory at this moment. Makes nothing."""
    import fcntl

    try:
        with (data_dir / "lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no such file: no server has ever been here
    return False
