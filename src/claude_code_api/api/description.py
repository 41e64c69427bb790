"""How the API describes itself, where the framework does not know better."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of `claude-code-api keys create`."},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same."},
}


class Described(FastAPI):
    """An application whose OpenAPI description names the errors that it really answers with, and how keys are sent."""

    def openapi(self) -> dict[str, Any]:
        """The description, as JSON; made once."""
        schema = super().openapi()
        for methods in schema["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)  # the framework's own; ours is a 400 in the envelope
        schema["components"]["securitySchemes"] = _SCHEMES
        schema["security"] = [{name: []} for name in _SCHEMES]
        schema["paths"]["/health"]["get"]["security"] = []
        return schema
