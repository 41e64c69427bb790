"""Model names: what a client may ask for, and what the CLI is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from claude_code_api.core.profiles import DEFAULT, PROFILES
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


class Opened(NamedTuple):
    """What a model name opens: a kind of session, and the model for the CLI's `--model`."""

    profile: str
    model: str


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Resolves the `model` of a request: a model, `profile/model`, or a profile alone for its default model.

    `aliases` maps a client's name to one of ours (for clients that insist on `gpt-4o`); `open_ended` lets any
    well-formed name through, because another endpoint than Anthropic's has models of its own.
    """

    default: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    open_ended: bool = False

    def open(self, name: str | None) -> Opened:
        """Return what a request's `model` opens. Raises ModelNotFound.

        Another endpoint's models may have slashes in their names: there, only a profile's own name is a prefix.
        """
        wanted = self.aliases.get(name, name) if name else self.default
        prefix, slash, model = wanted.partition("/")
        if prefix in PROFILES:
            return Opened(prefix, self.resolve(model if slash else self.default))
        if slash and not self._knows(wanted):
            raise ModelNotFound(
                f"There is no profile {prefix[:80]!r}. A model's name stands alone or behind one of: "
                f"{', '.join(f'{profile}/' for profile in PROFILES)}.",
                param="model",
            )
        return Opened(DEFAULT, self.resolve(wanted))

    def resolve(self, name: str) -> str:
        """Return the name for the CLI's `--model`. Raises ModelNotFound; what it returns is safe as an argument."""
        wanted = self.aliases.get(name, name)
        for pattern, family in _RETIRED:
            if pattern.fullmatch(wanted):
                return family
        if self._knows(wanted):
            return wanted
        raise ModelNotFound(
            f"The model {name[:80]!r} is not known here. GET /v1/models lists what is; [models] aliases adds names.",
            param="model",
        )

    def _knows(self, name: str) -> bool:
        known = name in ALIASES or name.startswith("claude-") or name in self.aliases.values() or self.open_ended
        return known and bool(_SAFE.fullmatch(name)) and name.partition("/")[0] not in PROFILES

    def listed(self, profiles: Iterable[str]) -> list[str]:
        """The names of these profiles to show in `GET /v1/models`, the default first."""
        names = list(dict.fromkeys([self.default, *ALIASES, *self.aliases]))
        listed: list[str] = []
        for profile in profiles:
            listed += names if profile == DEFAULT else [profile, *(f"{profile}/{name}" for name in names)]
        return listed
