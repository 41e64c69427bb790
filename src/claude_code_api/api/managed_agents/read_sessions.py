"""From what a client says of a session to what is kept of it, and what may change. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from claude_code_api.api.checks import sound
from claude_code_api.api.managed_agents.read import tools_of
from claude_code_api.api.managed_agents.shapes import Json
from claude_code_api.api.managed_agents.wire_sessions import BudgetParams, ResourceParams, SessionUpdate
from claude_code_api.errors import InvalidRequest, NotSupported
from claude_code_api.managed import metadata as meta
from claude_code_api.managed.agents import overridden
from claude_code_api.managed.files import StoredFile
from claude_code_api.managed.mapping import mount_path
from claude_code_api.managed.sending import check_open
from claude_code_api.managed.session_store import ManagedSession
from claude_code_api.managed.tools import resolved_servers

_LONGEST_PATH, _LONGEST_PART = 1024, 255


def budget_of(given: BudgetParams | None) -> int | None:
    """A budget in US cents."""
    return None if given is None else int(given.max_list_cost.amount)


def check_vaults(vault_ids: Sequence[str] | None) -> None:
    """Raises NotSupported when there are any."""
    if vault_ids:
        raise NotSupported(
            "vault_ids: vaults are not supported here: agents act as the user that the server runs as, with its "
            "credentials. Leave it out.",
            param="vault_ids",
        )


def check_kind(resource: ResourceParams, where: str) -> str:
    """The file that a resource names. `where` is what stands in front of its fields' names.

    Raises NotSupported or InvalidRequest naming the field.
    """
    if resource.type == "github_repository":
        raise NotSupported(
            f"{where}type: 'github_repository' is not supported here: let the agent clone it with its bash tool, or "
            "upload what it needs to /v1/files.",
            param=f"{where}type",
        )
    if resource.type == "memory_store":
        raise NotSupported(
            f"{where}type: 'memory_store' is not supported here: upload what the agent should know to /v1/files, or "
            "let a custom tool remember.",
            param=f"{where}type",
        )
    if resource.file_id is None:
        raise InvalidRequest(f"{where}file_id is missing.", param=f"{where}file_id")
    return resource.file_id


def resource_of(resource: ResourceParams, file: StoredFile, taken: set[str], where: str, now: float) -> Json:
    """A file as it is mounted. `taken` are the paths of others. Raises InvalidRequest naming the field."""
    at = f"{where}mount_path"
    path = mount_path(resource.mount_path, file.filename)
    parts = PurePosixPath(sound(path, at)).parts
    is_below = parts and not path.startswith("/") and ".." not in parts and path.isprintable()
    is_short = len(path) <= _LONGEST_PATH and all(len(part.encode()) <= _LONGEST_PART for part in parts)
    if not is_below or not is_short or path.endswith("/"):
        raise InvalidRequest(
            f"{at} must name a file below the agent's workspace: a relative path without '..', or one below "
            f"/workspace or /mnt/session, of at most {_LONGEST_PATH} characters, and {_LONGEST_PART} bytes a name.",
            param=at,
        )
    path = str(PurePosixPath(path))
    if other := next((one for one in taken if _collide(path, one)), None):
        raise InvalidRequest(f"{at}: {path!r} cannot be where {other!r} is mounted already.", param=at)
    taken.add(path)
    made = {"id": f"sesrsc_{uuid.uuid4().hex}", "type": "file", "file_id": file.id, "mount_path": path}
    return {**made, "created_at": now, "updated_at": now}


def _collide(path: str, other: str) -> bool:
    """Whether there cannot be files at both: they are one, or one lies below the other."""
    return path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/")


def changes_of(session: ManagedSession, asked: SessionUpdate, cost_usd: float) -> Json:
    """The fields of a session that an update changes, and their new values. Raises InvalidRequest naming the field."""
    check_open(session)
    sent = asked.model_fields_set
    values: Json = {}
    if "title" in sent and asked.title != session.title:
        values["title"] = None if asked.title is None else sound(asked.title, "title")
    if "budget" in sent and budget_of(asked.budget) != session.budget:
        values["budget"] = _budget(session, asked, cost_usd)
    if asked.agent is not None:
        agent = _agent(session, asked)
        if agent != session.agent:
            values["agent"] = agent
    return values


def patched(metadata: Mapping[str, str], asked: SessionUpdate) -> Mapping[str, str] | None:
    """The new metadata, None when it stays. Raises InvalidMetadata."""
    patch = asked.metadata
    if not patch or all(metadata.get(name) == value for name, value in patch.items()):
        return None
    return meta.patched(metadata, patch)


def _budget(session: ManagedSession, asked: SessionUpdate, cost_usd: float) -> int | None:
    limit = budget_of(asked.budget)
    if limit is not None and (not session.is_budgeted or session.budget is None):
        raise InvalidRequest(
            "budget (budget_create_only): a session that was made without a budget, or whose budget was removed, gets "
            "none any more.",
            param="budget",
        )
    if limit is not None and limit <= cost_usd * 100:
        raise InvalidRequest(
            f"budget (budget_not_raised): the session has cost {cost_usd * 100:.2f} US cents already.", param="budget"
        )
    return limit


def _agent(session: ManagedSession, asked: SessionUpdate) -> Json:
    assert asked.agent is not None
    if session.is_implicit:
        raise InvalidRequest(
            "agent: this conversation was made in another dialect, and has no agent of its own. Make a session with "
            "one.",
            param="agent",
        )
    if session.run is not None or session.status != "idle":
        raise InvalidRequest("agent: the session is at work; change its agent when it is idle.", param="agent")
    given: Json = {}
    if "tools" in asked.agent.model_fields_set:
        given["tools"] = tools_of(asked.agent.tools, "agent.")
    if "mcp_servers" in asked.agent.model_fields_set:
        servers = [one.model_dump() for one in asked.agent.mcp_servers or ()]
        given["mcp_servers"] = resolved_servers(servers, "agent.mcp_servers")
    return overridden(session.agent, given)
