"""What the hosted service offers and this server does not: each endpoint answers with what to do instead.

The table is also what the documentation goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from fastapi import APIRouter

from claude_code_api.errors import NotSupported

router = APIRouter()


class Feature(NamedTuple):
    """A part of the hosted service that is not offered, and what to do instead. `what` begins a sentence."""

    what: str
    advice: str
    endpoints: tuple[str, ...]


_WORK = "/v1/environments/{environment_id}/work"
_VAULTS = "/v1/vaults"
_CREDENTIALS = f"{_VAULTS}/{{vault_id}}/credentials"
_STORES = "/v1/memory_stores"
_STORE = f"{_STORES}/{{memory_store_id}}"
_DEPLOYMENTS = "/v1/deployments"

UNSUPPORTED = (
    Feature(
        "The work queue of environments is",
        "tools run on this server. What shall run at the client's is a custom tool.",
        (
            f"GET {_WORK}",
            f"GET {_WORK}/poll",
            f"GET {_WORK}/stats",
            f"GET {_WORK}/{{work_id}}",
            f"POST {_WORK}/{{work_id}}",
            f"POST {_WORK}/{{work_id}}/ack",
            f"POST {_WORK}/{{work_id}}/heartbeat",
            f"POST {_WORK}/{{work_id}}/stop",
        ),
    ),
    Feature(
        "Vaults are",
        "agents act as the user that the server runs as, with its credentials; an MCP server that needs others goes "
        "behind a proxy that adds them.",
        (
            f"POST {_VAULTS}",
            f"GET {_VAULTS}",
            f"GET {_VAULTS}/{{vault_id}}",
            f"POST {_VAULTS}/{{vault_id}}",
            f"DELETE {_VAULTS}/{{vault_id}}",
            f"POST {_VAULTS}/{{vault_id}}/archive",
            f"POST {_CREDENTIALS}",
            f"GET {_CREDENTIALS}",
            f"GET {_CREDENTIALS}/{{credential_id}}",
            f"POST {_CREDENTIALS}/{{credential_id}}",
            f"DELETE {_CREDENTIALS}/{{credential_id}}",
            f"POST {_CREDENTIALS}/{{credential_id}}/archive",
            f"POST {_CREDENTIALS}/{{credential_id}}/mcp_oauth_validate",
        ),
    ),
    Feature(
        "Memory stores are",
        "give the session files (/v1/files, and `resources`), or let a custom tool remember.",
        (
            f"POST {_STORES}",
            f"GET {_STORES}",
            f"GET {_STORE}",
            f"POST {_STORE}",
            f"DELETE {_STORE}",
            f"POST {_STORE}/archive",
            f"POST {_STORE}/memories",
            f"GET {_STORE}/memories",
            f"GET {_STORE}/memories/{{memory_id}}",
            f"POST {_STORE}/memories/{{memory_id}}",
            f"DELETE {_STORE}/memories/{{memory_id}}",
            f"GET {_STORE}/memory_versions",
            f"GET {_STORE}/memory_versions/{{memory_version_id}}",
            f"POST {_STORE}/memory_versions/{{memory_version_id}}/redact",
        ),
    ),
    Feature(
        "Deployments are",
        "create the session yourself when it is time, from cron for example (POST /v1/sessions with `initial_events`).",
        (
            f"POST {_DEPLOYMENTS}",
            f"GET {_DEPLOYMENTS}",
            f"GET {_DEPLOYMENTS}/{{deployment_id}}",
            f"POST {_DEPLOYMENTS}/{{deployment_id}}",
            f"POST {_DEPLOYMENTS}/{{deployment_id}}/archive",
            f"POST {_DEPLOYMENTS}/{{deployment_id}}/pause",
            f"POST {_DEPLOYMENTS}/{{deployment_id}}/unpause",
            f"POST {_DEPLOYMENTS}/{{deployment_id}}/run",
            "GET /v1/deployment_runs",
            "GET /v1/deployment_runs/{deployment_run_id}",
        ),
    ),
    Feature(
        "Dreams are",
        "there are no memory stores that they could tidy.",
        (
            "POST /v1/dreams",
            "GET /v1/dreams",
            "GET /v1/dreams/{dream_id}",
            "POST /v1/dreams/{dream_id}/archive",
            "POST /v1/dreams/{dream_id}/cancel",
        ),
    ),
)


def _refusing(feature: Feature) -> Callable[[], Coroutine[Any, Any, None]]:
    async def refuse() -> None:
        raise NotSupported(f"{feature.what} not supported here: {feature.advice}")

    return refuse


for _feature in UNSUPPORTED:
    for _endpoint in _feature.endpoints:
        _method, _path = _endpoint.split()
        router.add_api_route(_path, _refusing(_feature), methods=[_method], include_in_schema=False)
