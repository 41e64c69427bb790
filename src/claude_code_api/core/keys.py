"""API keys: how one is written, which count, and what their callers may do. Pure.

A key carries 32 random bytes, so nobody finds one that fits a digest: plain SHA-256 does, and a slow hash, which is for
passwords, would only delay each request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from claude_code_api.errors import AdminOnly, InvalidApiKey, ProfileNotAllowed

ID_BYTES, SECRET_BYTES = 6, 32
DEFAULT_TENANT = "default"
_KEY = re.compile(rf"ccapi_([0-9a-f]{{{2 * ID_BYTES}}})_[0-9a-f]{{{2 * SECRET_BYTES}}}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key; never the key itself. `profiles` None allows all. Times are Unix seconds."""

    id: str
    digest: str
    tenant: str
    name: str
    profiles: tuple[str, ...] | None
    is_admin: bool
    created_at: float
    expires_at: float | None
    revoked_at: float | None

    def standing(self, now: float) -> Literal["valid", "expired", "revoked"]:
        """Whether it opens anything at this moment."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if self.expires_at is None or now < self.expires_at else "expired"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is. `key_id` is None as long as there are no keys; `profiles` None allows all."""

    tenant: str
    key_id: str | None
    profiles: tuple[str, ...] | None
    is_admin: bool

    def check_profile(self, profile: str) -> None:
        """Raises ProfileNotAllowed."""
        if self.profiles is not None and profile not in self.profiles:
            allowed = ", ".join(self.profiles)
            raise ProfileNotAllowed(
                f"This API key is not for the profile {profile}; it is for: {allowed}.", param="model"
            )

    def check_admin(self) -> None:
        """Raises AdminOnly."""
        if not self.is_admin:
            raise AdminOnly(
                "This shows what all tenants do, and needs an admin key: `claude-code-api keys create --admin`."
            )


ANYBODY = Caller(DEFAULT_TENANT, key_id=None, profiles=None, is_admin=True)
"""The caller of every request, as long as there are no keys."""


def written(identity: bytes, secret: bytes) -> str:
    """A key as its owner gets it. The bytes must be random; the first ones stay its public id."""
    assert (len(identity), len(secret)) == (ID_BYTES, SECRET_BYTES)
    return f"ccapi_{identity.hex()}_{secret.hex()}"


def id_of(text: str) -> str | None:
    """The public id in a key, None when it is none of ours."""
    found = _KEY.fullmatch(text)
    return None if found is None else found[1]


def digest_of(text: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(text.encode()).hexdigest()


def admit(given: str | None, known: Mapping[str, ApiKey], now: float) -> Caller:
    """The caller that a key belongs to. `known` are all keys by their ids. Raises InvalidApiKey."""
    if not given:
        raise InvalidApiKey(
            "Send an API key, as `Authorization: Bearer KEY` or `x-api-key: KEY`. On the server, "
            "`claude-code-api keys create` makes one."
        )
    key = known.get(id_of(given) or "")
    if key is None or not hmac.compare_digest(key.digest, digest_of(given)):
        raise InvalidApiKey(
            "This API key is not known here. Is it whole, and of this server? On the server, `claude-code-api keys "
            "create` makes another."
        )
    standing = key.standing(now)
    if standing != "valid":
        since = datetime.fromtimestamp(key.revoked_at or key.expires_at or now, UTC)
        what = "was revoked" if standing == "revoked" else "expired"
        raise InvalidApiKey(
            f"The API key {key.id} {what} on {since:%Y-%m-%d at %H:%M} UTC. On the server, `claude-code-api keys "
            "create` makes another."
        )
    return Caller(key.tenant, key.id, key.profiles, key.is_admin)
