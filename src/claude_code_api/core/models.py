"""Model names: what a client may ask for, and what the CLI is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from claude_code_api.errors import ModelNotFound

ALIASES = ("sonnet", "opus", "haiku")
"""The CLI's own names for today's model of each family."""

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]\-]{0,127}")
_RETIRED = (
    (re.compile(r"claude-(3|3-5|3-7)-sonnet(-.*)?"), "sonnet"),
    (re.compile(r"claude-sonnet-4-0|claude-sonnet-4-20250514"), "sonnet"),
    (re.compile(r"claude-3-opus(-.*)?|claude-opus-4-0|claude-opus-4-20250514"), "opus"),
    (re.compile(r"claude-(3|3-5)-haiku(-.*)?"), "haiku"),
    (re.compile(r"claude-instant(-.*)?"), "haiku"),
    (re.compile(r"claude-2(\.\d)?"), "sonnet"),
    (re.compile(r"claude-v?1(\.\d)?(-.*)?"), "sonnet"),
)


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Resolves the `model` of a request.

    `aliases` maps a client's name to one of ours (for clients that insist on `gpt-4o`); `open_ended` lets any
    well-formed name through, because another endpoint than Anthropic's has models of its own.
    """

    default: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    open_ended: bool = False

    def resolve(self, name: str) -> str:
        """Return the name for the CLI's `--model`. Raises ModelNotFound; what it returns is safe as an argument."""
        wanted = self.aliases.get(name, name)
        for pattern, family in _RETIRED:
            if pattern.fullmatch(wanted):
                return family
        known = wanted in ALIASES or wanted.startswith("claude-") or wanted in self.aliases.values()
        if _SAFE.fullmatch(wanted) and (known or self.open_ended):
            return wanted
        raise ModelNotFound(
            f"The model {name[:80]!r} is not known here. GET /v1/models lists what is; [models] aliases adds names.",
            param="model",
        )

    def listed(self) -> list[str]:
        """The names to show in `GET /v1/models`, the default first."""
        return list(dict.fromkeys([self.default, *ALIASES, *self.aliases]))
