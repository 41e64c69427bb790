"""Profiles: what kinds of session there are, and whom they open to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from claude_code_api.core.keys import Caller
from claude_code_api.errors import ProfileNotAllowed, ProfileNotAvailable

CHAT, AGENT = "chat", "agent"
PROFILES = (CHAT, AGENT)
DEFAULT = CHAT
"""What a model name without a profile opens."""


@dataclass(frozen=True, slots=True)
class ProfilePolicy:
    """Who may open which profile.

    An agent's tools run with the server's own rights. On one's own machine, where there are no API keys, that is no
    more than the caller can do anyway; where there are keys, the operator has to say so with `allow_unsandboxed`.
    """

    allow_unsandboxed: bool = False

    def check(self, profile: str, caller: Caller) -> None:
        """Raises ProfileNotAllowed or ProfileNotAvailable."""
        caller.check_profile(profile)
        if profile == AGENT and caller.key_id is not None and not self.allow_unsandboxed:
            raise ProfileNotAvailable(
                "The profile agent is not open on this server. Its tools run commands without a sandbox, with the "
                "server's own rights over files, processes and the network, so who has an API key could read and "
                "change whatever the server can, other tenants' conversations included. If every key's owner may do "
                "that, the operator sets [agent] allow_unsandboxed = true. Until then use a model without the prefix "
                "agent/.",
                param="model",
            )

    def open_to(self, caller: Caller) -> list[str]:
        """The profiles that this caller may use, the default first."""
        found = []
        for profile in PROFILES:
            try:
                self.check(profile, caller)
            except (ProfileNotAllowed, ProfileNotAvailable):
                continue
            found.append(profile)
        return found
