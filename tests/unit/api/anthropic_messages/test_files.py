"""A request with uploaded files: it is read beside the event loop, and bounded however often it names them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from claude_code_api.api.anthropic_messages.files import read_with_media
from claude_code_api.api.anthropic_messages.wire import CountRequest
from claude_code_api.api.media import Media
from claude_code_api.errors import InvalidFile, ResourceNotFound
from claude_code_api.managed.files import Shelf, StoredFile

ONE, TWO = (f"file_{digit * 32}" for digit in "12")
WORDS = b"Hi there"


class Files:
    """A tenant's files; `max_total` is what four of them have."""

    max_total = 4 * len(WORDS)
    awaited = Media(awaited=True)

    def __init__(self, root: Path, checks: ThreadPoolExecutor) -> None:
        self.shelf = Shelf(root)
        for file_id in (ONE, TWO):
            self.shelf.begin("default", file_id).write_bytes(WORDS)
            self.shelf.finish("default", file_id)
        managed = SimpleNamespace(store=self, shelf=self.shelf)
        self.context = cast("Any", SimpleNamespace(images=self, managed=managed, checks=checks))

    async def file(self, tenant: str, file_id: str) -> StoredFile:
        return StoredFile(file_id, "n.txt", "text/plain", len(WORDS), 0.0)

    async def read(self, *named: str, words: int = 0) -> list[tuple[int, int]]:
        """Read a request that names these files: by which threads, and with how many files."""
        blocks: list[Any] = [{"type": "document", "source": {"type": "file", "file_id": one}} for one in named]
        blocks += [{"type": "text", "text": "Hi"}] * words
        body = {"model": "sonnet", "messages": [{"role": "user", "content": blocks}]}
        reads: list[tuple[int, int]] = []
        await read_with_media(
            cast("Any", None),
            CountRequest.model_validate(body),
            self.context,
            "default",
            lambda media: reads.append((threading.get_ident(), len(media.files))),
        )
        return reads


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with ThreadPoolExecutor(1) as checks:
        yield Files(tmp_path, checks)


async def test_what_files_say_is_read_beside_the_event_loop(files: Files) -> None:
    (_, before), (thread, after) = await files.read(ONE, ONE, TWO, TWO)
    assert (before, after) == (0, 2)
    assert thread != threading.get_ident()


async def test_what_is_long_is_read_beside_the_event_loop(files: Files) -> None:
    ((few, _),), ((many, _),) = await files.read(words=1), await files.read(words=101)
    assert few == threading.get_ident() != many


async def test_a_file_counts_each_time_that_it_is_named(files: Files) -> None:
    with pytest.raises(InvalidFile, match="together") as caught:
        await files.read(TWO, *[ONE] * 4)
    assert caught.value.param == "messages.0.content.1.source.file_id"


async def test_a_file_is_as_large_as_the_operator_says(files: Files) -> None:
    files.awaited = Media(len(WORDS) - 1, awaited=True)
    with pytest.raises(InvalidFile, match=r"at most 7 are taken \(\[media\] max_bytes\)"):
        await files.read(ONE)


async def test_a_file_that_is_deleted_while_it_is_read_is_not_there(files: Files) -> None:
    files.shelf.drop("default", ONE)
    with pytest.raises(ResourceNotFound):
        await files.read(ONE)
