"""The wire types of agents and environments: what comes in. What is not declared here is refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from claude_code_api.api.checks import sound
from claude_code_api.core.turn import Effort
from claude_code_api.errors import InvalidRequest

_MOST_TOOLS, _MOST_CONFIGS, _MOST_SKILLS = 256, 256, 64
_MOST_PACKAGES, _LONGEST_PACKAGE = 100, 200
_LONGEST_SYSTEM = 100_000
_LONGEST_NAME, _LONGEST_DESCRIPTION = 256, 2048

Version: TypeAlias = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A number that the database can look for."""


class Wire(BaseModel):
    """A body, or a part of one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _sound(cls, given: Any) -> Any:
        for name, value in given.items() if isinstance(given, dict) else ():
            if isinstance(value, str):
                sound(value, name)
                if "\0" in value:
                    raise InvalidRequest(f"{name} contains the character NUL, which is not text.", param=name)
        return given


# Models


class EffortObject(Wire):
    """How hard the model is to think, as answers have it."""

    type: Effort


class ModelConfigParams(Wire):
    """A model and how it is run."""

    id: str
    effort: Effort | EffortObject | None = None
    speed: Literal["standard", "fast"] | None = None
    inference_geo: str | None = None


# Tools


class PolicyParams(Wire):
    """Whether a call waits for a person."""

    type: Literal["always_allow", "always_ask", "auto"]


class DefaultConfigParams(Wire):
    """What goes for every tool of a set that says nothing itself."""

    enabled: bool | None = None
    permission_policy: PolicyParams | None = None


class ToolConfigParams(DefaultConfigParams):
    """What goes for one built-in tool. What only `web_fetch` and `web_search` have is refused by name, if it is set."""

    name: Literal["bash", "edit", "read", "write", "glob", "grep", "web_fetch", "web_search"]
    type: str | None = None
    allowed_domains: Any = None
    blocked_domains: Any = None
    max_content_tokens: Any = None
    url_sources: Any = None
    user_location: Any = None


class McpToolConfigParams(DefaultConfigParams):
    """What goes for one tool of an MCP server."""

    name: Annotated[str, Field(min_length=1, max_length=128)]


class AgentToolsetParams(Wire):
    """The built-in tools."""

    type: Literal["agent_toolset_20260401"]
    default_config: DefaultConfigParams | None = None
    configs: Annotated[list[ToolConfigParams], Field(max_length=_MOST_CONFIGS)] | None = None


class McpToolsetParams(Wire):
    """The tools of one of the `mcp_servers`."""

    type: Literal["mcp_toolset"]
    mcp_server_name: str
    default_config: DefaultConfigParams | None = None
    configs: Annotated[list[McpToolConfigParams], Field(max_length=_MOST_CONFIGS)] | None = None


class CustomToolParams(Wire):
    """A tool that the client carries out."""

    type: Literal["custom"]
    name: str
    description: str
    input_schema: dict[str, Any]


class OtherToolParams(BaseModel):
    """A tool of a type that is not offered."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str


_KINDS = {
    "agent_toolset_20260401": "AgentToolset",
    "mcp_toolset": "McpToolset",
    "custom": "CustomTool",
}


def _kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return _KINDS.get(kind, "OtherTool") if isinstance(kind, str) else "OtherTool"


ToolParams: TypeAlias = Annotated[
    Annotated[AgentToolsetParams, Tag("AgentToolset")]
    | Annotated[McpToolsetParams, Tag("McpToolset")]
    | Annotated[CustomToolParams, Tag("CustomTool")]
    | Annotated[OtherToolParams, Tag("OtherTool")],
    Discriminator(_kind),
]
Tools: TypeAlias = Annotated[list[ToolParams], Field(max_length=_MOST_TOOLS, fail_fast=True)]


class McpServerParams(Wire):
    """An MCP server that is reached by its URL."""

    type: Literal["url"]
    name: str
    url: str


class SkillParams(Wire):
    """A skill; the newest version without a `version`."""

    type: Literal["anthropic", "custom"]
    skill_id: str
    version: str | None = None


Servers: TypeAlias = Annotated[list[McpServerParams], Field(max_length=100)]
Skills: TypeAlias = Annotated[list[SkillParams], Field(max_length=_MOST_SKILLS)]
System: TypeAlias = Annotated[str, Field(max_length=_LONGEST_SYSTEM)]
Name: TypeAlias = Annotated[str, Field(max_length=_LONGEST_NAME)]
Description: TypeAlias = Annotated[str, Field(max_length=_LONGEST_DESCRIPTION)]

# Agents


class IdentityParams(Wire):
    """As whom the agent acts outside."""

    type: Literal["service_account", "aws_role"]
    role_arn: str | None = None


class _AgentFields(Wire):
    description: Description | None = None
    system: System | None = None
    tools: Tools | None = None
    mcp_servers: Servers | None = None
    skills: Skills | None = None
    multiagent: dict[str, Any] | None = None
    execution_identity: IdentityParams | None = None


class AgentCreate(_AgentFields):
    """A new agent."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "Helper",
                "model": "sonnet",
                "system": "Be brief.",
                "tools": [{"type": "agent_toolset_20260401"}],
            }
        }
    )

    name: Name
    model: str | ModelConfigParams
    metadata: dict[str, str] | None = None


class AgentUpdate(_AgentFields):
    """What is to become of an agent's fields; those that are left out stay."""

    name: Name | None = None
    model: str | ModelConfigParams | None = None
    metadata: dict[str, str | None] | None = None
    version: Version | None = None


class AgentIdParams(Wire):
    """An agent, at its newest version without a `version`."""

    type: Literal["agent"]
    id: str
    version: Version | None = None


class AgentOverridesParams(Wire):
    """An agent with parts that stand in for its own."""

    type: Literal["agent_with_overrides"]
    id: str
    version: Version | None = None
    model: str | ModelConfigParams | None = None
    system: System | None = None
    tools: Tools | None = None
    mcp_servers: Servers | None = None
    skills: Skills | None = None


AgentChoice: TypeAlias = str | Annotated[AgentIdParams | AgentOverridesParams, Field(discriminator="type")]
"""The agent of a new session."""

# Environments


class NetworkingParams(Wire):
    """What can be reached; the fields of `limited` are known, and refused with it."""

    type: Literal["unrestricted", "limited"]
    allowed_hosts: Any = None
    allow_mcp_servers: Any = None
    allow_package_managers: Any = None


_Package: TypeAlias = Annotated[str, Field(min_length=1, max_length=_LONGEST_PACKAGE)]
_Packages: TypeAlias = Annotated[list[_Package], Field(max_length=_MOST_PACKAGES)]


class PackagesParams(Wire):
    """The packages that must be there, by the programs that install them."""

    type: Literal["packages"] | None = None
    apt: _Packages | None = None
    cargo: _Packages | None = None
    gem: _Packages | None = None
    go: _Packages | None = None
    npm: _Packages | None = None
    pip: _Packages | None = None


class ConfigParams(Wire):
    """Where an agent's tools run; the fields of `cloud` are not of `self_hosted`, which is refused as a whole."""

    type: Literal["cloud", "self_hosted"]
    networking: NetworkingParams | None = None
    packages: PackagesParams | None = None


class _EnvironmentFields(Wire):
    description: Description | None = None
    config: ConfigParams | None = None
    scope: Literal["organization", "account"] | None = None


class EnvironmentCreate(_EnvironmentFields):
    """A new environment."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "This machine"}})

    name: Name
    metadata: dict[str, str] | None = None


class EnvironmentUpdate(_EnvironmentFields):
    """What is to become of an environment's fields; those that are left out stay."""

    name: Name | None = None
    metadata: dict[str, str | None] | None = None
