"""What can be changed of a conversation's history beside taking turns back. Decides, and does nothing by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from claude_code_api.errors import ItemNotFound
from claude_code_api.runtime.storage import Store
from claude_code_api.runtime.stored import Addition, Change, StoredConversation


@dataclass(frozen=True, slots=True)
class Edit:
    """One change. `write` stores it, given the conversation's internal id and the generation of its process.

    `keeps_process`: a live process can go on with what the history is then. `name` is for the log.
    """

    name: str
    write: Callable[[Store, str, int], Awaitable[StoredConversation]]
    keeps_process: bool


def adding(additions: Sequence[Addition]) -> Edit:
    """Something more at the end of the history.

    What only the user said goes to the process with the next turn; with anything else the next one starts anew.
    """
    keeps = all(_only_said(one) for one in additions)

    async def write(store: Store, key: str, epoch: int) -> StoredConversation:
        return await store.add(key, additions, epoch=epoch, keeps_binding=keeps)

    return Edit("add", write, keeps)


def amending(turn_id: str, change: Change) -> Edit:
    """Another content of one turn; `write` raises ItemNotFound when the history has no such turn."""

    async def write(store: Store, key: str, epoch: int) -> StoredConversation:
        left = await store.amend(key, turn_id, change, epoch=epoch)
        if left is None:
            raise ItemNotFound("There is no such item in this conversation.", param="item_id")
        return left

    return Edit("amend", write, keeps_process=False)


def _only_said(addition: Addition) -> bool:
    """Whether it is nothing but messages of the user, and none of them the result of a tool."""
    return not addition.developer and all(
        message.role == "user" and all(block["type"] != "tool_result" for block in message.content)
        for message in addition.messages
    )
