"""From what a client says of an agent or an environment to what is kept of it: checked, and with names resolved. Pure.

A field that was not sent is not in what comes out.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import BaseModel

from claude_code_api.api.functions import Function, checked_tools
from claude_code_api.api.managed_agents.wire import (
    AgentChoice,
    AgentCreate,
    AgentOverridesParams,
    AgentUpdate,
    EnvironmentCreate,
    EnvironmentUpdate,
    OtherToolParams,
    Tools,
)
from claude_code_api.api.schemas import SchemaBudget
from claude_code_api.core.models import ModelNames
from claude_code_api.errors import InvalidRequest, ModelNotFound, NotSupported
from claude_code_api.managed.agents import AgentRef
from claude_code_api.managed.tools import resolved_servers, resolved_tools

Json: TypeAlias = dict[str, Any]

_REFERENCE = {"type", "id", "version"}


def definition_of(body: AgentCreate | AgentUpdate, names: ModelNames) -> Json:
    """The parts of an agent's definition that a body has. Its skills are as they were sent.

    Raises InvalidRequest, ModelNotFound or NotSupported, which name the field.
    """
    given: Json = _plain(body)
    given.pop("version", None)
    if given.pop("multiagent", None) is not None:
        raise NotSupported(
            "multiagent is not supported here: a session has one thread. Leave it out; Claude Code's agents start "
            "sub-agents of their own.",
            param="multiagent",
        )
    if "execution_identity" in given:
        identity = given["execution_identity"] or {"type": "service_account"}
        if identity["type"] != "service_account":
            raise NotSupported(
                "execution_identity: 'aws_role' is not supported here: agents act as the user that the server runs as.",
                param="execution_identity",
            )
        given["execution_identity"] = {"type": "service_account"}
    for name in ("description", "system"):
        if name in given:
            given[name] = given[name] or None
    if given.get("name", "") is None:
        raise InvalidRequest("name cannot be cleared: leave it out, and it stays.", param="name")
    return _read(given, body.tools, names, "")


def ref_of(choice: AgentChoice, names: ModelNames) -> AgentRef:
    """The agent that a new session names, with the parts that are replaced. Raises as `definition_of`."""
    if isinstance(choice, str):
        return AgentRef(choice)
    if not isinstance(choice, AgentOverridesParams):
        return AgentRef(choice.id, choice.version)
    given = {name: value for name, value in _plain(choice).items() if name not in _REFERENCE}
    if "system" in given:
        given["system"] = given["system"] or None
    return AgentRef(choice.id, choice.version, _read(given, choice.tools, names, "agent."))


def tools_of(tools: Tools | None, where: str = "") -> list[Json]:
    """Tools as an agent shows them; `where` goes before the names of fields.

    Raises InvalidRequest or NotSupported naming the field.
    """
    described = []
    for index, tool in enumerate(tools or ()):
        at = f"{where}tools.{index}"
        if isinstance(tool, OtherToolParams):
            raise NotSupported(
                f"{at}.type: {tool.type[:100]!r} is not supported here. There are 'agent_toolset_20260401', "
                "'mcp_toolset' and 'custom'.",
                param=f"{at}.type",
            )
        if tool.type == "custom":
            described.append(Function(at, tool.name, tool.description, tool.input_schema, strict=False))
    kept = {tool.name: tool.schema for tool in checked_tools(described, SchemaBudget()).values()}
    sent: list[Json] = _plain(list(tools or ()))
    plain = [{**tool, "input_schema": kept[tool["name"]]} if tool["type"] == "custom" else tool for tool in sent]
    return resolved_tools(plain, f"{where}tools")


def environment_of(body: EnvironmentCreate | EnvironmentUpdate) -> Json:
    """The parts of an environment that a body has. Raises InvalidRequest or NotSupported, which name the field."""
    given: Json = _plain(body)
    if given.pop("scope", None) == "account":
        raise NotSupported(
            "scope: 'account' is not supported here: an environment is its tenant's. Leave it out, or use "
            "'organization'.",
            param="scope",
        )
    return given


def _plain(value: Any) -> Any:
    """What was sent, as plain JSON; unlike the framework's own way it takes values of any depth."""
    if isinstance(value, BaseModel):
        sent = value.model_fields_set
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields if name in sent}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _read(given: Json, tools: Tools | None, names: ModelNames, where: str) -> Json:
    """The same with tools, servers and the model as they are kept."""
    if "tools" in given:
        given["tools"] = tools_of(tools, where)
    if "mcp_servers" in given:
        given["mcp_servers"] = resolved_servers(given["mcp_servers"] or (), f"{where}mcp_servers")
    if "skills" in given:
        given["skills"] = given["skills"] or []
    if "model" in given:
        given["model"] = _model(given["model"], names, f"{where}model")
    return given


def _model(given: str | Json | None, names: ModelNames, where: str) -> Json:
    """A model as it is kept, without an effort when none was sent."""
    if given is None:
        raise InvalidRequest(f"{where} cannot be cleared: leave it out, and it stays.", param=where)
    asked: Json = {"id": given} if isinstance(given, str) else given
    at = where if isinstance(given, str) else f"{where}.id"
    try:
        names.resolve(asked["id"])
    except ModelNotFound as error:
        raise ModelNotFound(error.message, param=at) from error
    if asked.get("speed") == "fast":
        raise NotSupported(f"{where}.speed: 'fast' is not supported here; leave it out.", param=f"{where}.speed")
    if asked.get("inference_geo") is not None:
        raise NotSupported(
            f"{where}.inference_geo is not supported here: where the model runs is for the account that the server "
            "uses. Leave it out.",
            param=f"{where}.inference_geo",
        )
    made: Json = {"id": asked["id"], "speed": "standard", "inference_geo": None}
    if (effort := asked.get("effort")) is not None:
        made["effort"] = {"type": effort} if isinstance(effort, str) else effort
    return made
