"""Agents, environments, files and skills as the API shows them, and times. Pure, but for the clock in `now`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, TypeAlias

from claude_code_api.managed.agents import Agent, snapshot
from claude_code_api.managed.environments import Environment
from claude_code_api.managed.files import StoredFile
from claude_code_api.managed.skills import SkillVersion, StoredSkill

Json: TypeAlias = dict[str, Any]

_EPOCH = datetime.fromtimestamp(0, UTC)


def now() -> float:
    """This moment, as exactly as `timestamp` shows it: what is shown can be used to filter by."""
    return round(time.time(), 6)


def timestamp(seconds: float) -> str:
    """A time by RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def seconds_of(moment: datetime | None) -> float | None:
    """A time that a client sent; without a zone it is UTC."""
    if moment is None:
        return None
    in_its_zone = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (in_its_zone - _EPOCH).total_seconds()  # no `timestamp`: that fails at either end of the calendar


def agent_shown(agent: Agent) -> Json:
    """An agent."""
    return {
        **snapshot(agent),
        "metadata": agent.definition["metadata"],
        "created_at": timestamp(agent.created_at),
        "updated_at": timestamp(agent.updated_at),
        "archived_at": _maybe(agent.archived_at),
    }


def environment_shown(environment: Environment) -> Json:
    """An environment."""
    return {
        "id": environment.id,
        "type": "environment",
        "name": environment.name,
        "description": environment.description,
        "config": environment.config,
        "metadata": dict(environment.metadata),
        "scope": "organization",
        "created_at": timestamp(environment.created_at),
        "updated_at": timestamp(environment.updated_at),
        "archived_at": _maybe(environment.archived_at),
    }


def file_shown(file: StoredFile) -> Json:
    """What is known of a file."""
    return {
        "id": file.id,
        "type": "file",
        "filename": file.filename,
        "mime_type": file.mime_type,
        "size_bytes": file.size_bytes,
        "downloadable": True,
        "created_at": timestamp(file.created_at),
        "expires_at": _maybe(file.expires_at),
        "scope": None,
    }


def _maybe(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def skill_shown(skill: StoredSkill) -> Json:
    """A skill."""
    return {
        "id": skill.id,
        "type": "skill",
        "display_name": skill.display_name,
        "latest_version_id": skill.newest.id,
        "source": {"type": "custom"},
        "created_at": timestamp(skill.created_at),
        "updated_at": timestamp(skill.newest.created_at),
    }


def skill_version_shown(version: SkillVersion) -> Json:
    """One version of a skill."""
    return {
        "id": version.id,
        "type": "skill_version",
        "skill_id": version.skill_id,
        "name": version.name,
        "description": version.description,
        "created_at": timestamp(version.created_at),
    }
