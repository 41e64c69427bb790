"""Puts what an agent is equipped with into its directories: files into its workspace, skills beside it.

Blocks: call it off the event loop. An agent may have left links in its workspace; nothing is ever written through one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from claude_code_api.claude.launch import KIT, Workplace
from claude_code_api.core.toolbox import PlacedFile, Skill, Toolbox
from claude_code_api.errors import InvalidRequest, StartFailed

_IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR)
"""What a link, or a file, in the place of a directory is met with."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def equip(place: Workplace, toolbox: Toolbox) -> None:
    """Place the files that are not there yet, and the skills, as they are now.

    Raises InvalidRequest when a file cannot be placed within the workspace, StartFailed when a source is gone, or
    OSError.
    """
    for file in toolbox.files:
        _place(place.work, file)
    _lay_out(place.kit, toolbox.skills)


def _place(work: Path, file: PlacedFile) -> None:
    *folders, name = file.path.split("/")
    try:
        with contextlib.ExitStack() as opened:
            folder = opened.enter_context(_opened(work, None))
            for part in folders:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, mode=0o700, dir_fd=folder)
                folder = opened.enter_context(_opened(part, folder))
            if not _is_there(name, folder):
                _copy(file, name, folder)
    except OSError as error:
        if error.errno in _IN_THE_WAY:
            raise _blocked(file) from error
        raise


@contextlib.contextmanager
def _opened(path: str | Path, parent: int | None) -> Iterator[int]:
    descriptor = os.open(path, _DIRECTORY, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _copy(file: PlacedFile, name: str, folder: int) -> None:
    """Copy it under another name first: what is there is whole."""
    draft = f".{uuid.uuid4().hex}"
    try:
        source = open(file.source, "rb")  # noqa: PTH123, SIM115 - a path that ends here as a name, and closed below
    except OSError as error:
        raise StartFailed(f"The file for {file.path} is no longer on the server: {error.strerror}.") from error
    with source:
        try:
            with os.fdopen(os.open(draft, _NEW, mode=0o600, dir_fd=folder), "wb") as target:
                shutil.copyfileobj(source, target)
            with contextlib.suppress(FileExistsError):
                os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)


def _blocked(file: PlacedFile) -> InvalidRequest:
    return InvalidRequest(
        f"The file {file.path} cannot be placed: something that is no directory of the workspace is in its way.",
        param="files",
    )


def _lay_out(kit: Path, skills: tuple[Skill, ...]) -> None:
    """Make the plugin of these skills anew: what an agent has changed of it is gone. Without skills there is none."""
    if kit.is_symlink() or kit.is_file():
        kit.unlink()
    shutil.rmtree(kit, ignore_errors=True)
    if not skills:
        return
    manifest = {"name": KIT, "version": "1.0.0", "description": "The skills of this agent."}
    (kit / ".claude-plugin").mkdir(parents=True, mode=0o700)
    (kit / ".claude-plugin" / "plugin.json").write_text(json.dumps(manifest), encoding="utf-8")
    for skill in skills:
        try:
            shutil.copytree(skill.source, kit / "skills" / skill.name, symlinks=True)
        except OSError as error:
            raise StartFailed(f"The skill {skill.name} is no longer on the server, or not whole.") from error
