"""Skills that clients brought: a directory with a `SKILL.md` for each version, and what is known of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from claude_code_api.core.toolbox import Skill
from claude_code_api.errors import InvalidRequest, NotSupported, ResourceNotFound
from claude_code_api.managed.files import Shelf
from claude_code_api.managed.paging import Page

LATEST = "latest"
MANIFEST = "SKILL.md"

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LONGEST_NAME, _LONGEST_DESCRIPTION, _LONGEST_PATH, _MOST_STEPS = 64, 1024, 255, 10
_STEP = re.compile(r"(?!\.{1,2}$)[\w.][\w.+@ -]*")
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.S)
_LINE = re.compile(r"([A-Za-z_-]+):(?:[ \t]+(.*))?")


@dataclass(frozen=True, slots=True)
class SkillVersion:
    """One upload of a skill; `name` is the skill's, and stays. Times are Unix seconds."""

    id: str
    skill_id: str
    name: str
    description: str
    created_at: float


@dataclass(frozen=True, slots=True)
class StoredSkill:
    """A skill, with its newest version."""

    id: str
    display_name: str
    created_at: float
    newest: SkillVersion


class SkillStore(Protocol):
    """Where it is kept what is known of skills, every tenant's apart."""

    async def add_skill(self, tenant: str, skill: StoredSkill) -> None:
        """Keep a new skill whose first version is in place."""

    async def add_skill_version(self, tenant: str, version: SkillVersion) -> bool:
        """Keep another version; False when there is no such skill any more."""

    async def skill(self, tenant: str, skill_id: str) -> StoredSkill | None:
        """One skill, None when there is none."""

    async def skills(self, tenant: str, page: Page) -> list[StoredSkill]:
        """Skills, the last one made first."""

    async def skill_version(self, tenant: str, skill_id: str, version_id: str) -> SkillVersion | None:
        """One version, None when there is none."""

    async def skill_versions(self, tenant: str, skill_id: str, page: Page) -> list[SkillVersion]:
        """The versions of a skill, the last one first."""

    async def delete_skill(self, tenant: str, skill_id: str) -> list[str]:
        """Forget a skill with all its versions, and return their ids; none when there is no such skill."""

    async def delete_skill_version(self, tenant: str, skill_id: str, version_id: str) -> bool:
        """Forget a version unless it is the only one; False when it is."""

    async def known_skill_versions(self, version_ids: Sequence[str]) -> set[str]:
        """Those of these ids that any tenant has a version of."""


async def found(store: SkillStore, tenant: str, skill_id: str) -> StoredSkill:
    """A tenant's skill. Raises ResourceNotFound."""
    skill = await store.skill(tenant, skill_id)
    if skill is None:
        raise ResourceNotFound(f"There is no skill {skill_id[:100]!r}.", param="skill_id")
    return skill


async def found_version(store: SkillStore, tenant: str, skill_id: str, version: str | None) -> SkillVersion:
    """A version of a tenant's skill, the newest for None and `latest`. Raises ResourceNotFound."""
    skill = await found(store, tenant, skill_id)
    if version in (None, LATEST, skill.newest.id):
        return skill.newest
    one = await store.skill_version(tenant, skill_id, version or LATEST)
    if one is None:
        raise ResourceNotFound(f"The skill {skill_id!r} has no version {(version or '')[:100]!r}.", param="version")
    return one


async def resolved_skills(
    store: SkillStore, tenant: str, skills: Sequence[Mapping[str, Any]], where: str = "skills"
) -> list[dict[str, Any]]:
    """The skills of an agent, each at a version. Raises InvalidRequest, NotSupported or ResourceNotFound."""
    made: list[dict[str, Any]] = []
    names: set[str] = set()
    for index, skill in enumerate(skills):
        at = f"{where}.{index}"
        if skill["type"] != "custom":
            raise NotSupported(
                f"{at}: Anthropic's own skills are not supported here, where they are not installed. Upload one "
                "(POST /v1/skills), and name it with the type 'custom'.",
                param=at,
            )
        try:
            version = await found_version(store, tenant, skill["skill_id"], skill.get("version"))
        except ResourceNotFound as error:
            raise ResourceNotFound(f"{at}: {error.message}", param=at) from error
        if version.name in names:
            raise InvalidRequest(f"{at}: there are two skills of the name {version.name!r}.", param=at)
        names.add(version.name)
        made.append({"type": "custom", "skill_id": version.skill_id, "version": version.id})
    return made


async def placed(
    store: SkillStore, shelf: Shelf, tenant: str, skills: Sequence[Mapping[str, Any]]
) -> tuple[Skill, ...]:
    """The skills that an agent shows, as they go into its toolbox. Raises ResourceNotFound for one that is gone."""
    found_ones = [await found_version(store, tenant, skill["skill_id"], skill["version"]) for skill in skills]
    return tuple(Skill(one.name, str(shelf.path_of(tenant, one.id))) for one in found_ones)


def steps_of(filename: str, where: str) -> tuple[str, ...]:
    """The way to a file of an upload, from the directory that holds all of them. Raises InvalidRequest.

    It is a way that leads nowhere else: each step is a plain name.
    """
    steps = tuple(filename.split("/"))
    if (
        not 2 <= len(steps) <= _MOST_STEPS
        or len(filename.encode()) > _LONGEST_PATH
        or not all(map(_STEP.fullmatch, steps))
    ):
        raise InvalidRequest(
            f"{where}: a skill's file is named by the way to it, such as 'my-skill/{MANIFEST}', with plain letters, "
            f"digits and . _ - + @; {filename[:100]!r} is not. A zip has to be unpacked first.",
            param=where,
        )
    return steps


def described(manifest: bytes, directory: str) -> tuple[str, str]:
    """The name and the description that a `SKILL.md` has; the directory's name where it has none.

    Raises InvalidRequest.
    """
    try:
        found_front = _FRONT.match(manifest.decode())
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{MANIFEST} is not UTF-8.", param="files") from error
    if found_front is None:
        raise InvalidRequest(f"{MANIFEST} must begin with front matter, between two lines of '---'.", param="files")
    front = _front_matter(found_front[1])
    name, description = front.get("name") or directory, front.get("description", "")
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{MANIFEST}: name must have 1 to {_LONGEST_NAME} of the characters a-z 0-9 and single '-' inside.",
            param="files",
        )
    if not 0 < len(description) <= _LONGEST_DESCRIPTION:
        raise InvalidRequest(
            f"{MANIFEST}: description must have 1 to {_LONGEST_DESCRIPTION} characters.", param="files"
        )
    return name, description


def _front_matter(text: str) -> dict[str, str]:
    """The texts that stand at the top level of front matter, in as much of YAML as it is written in."""
    found_lines: dict[str, str] = {}
    held: list[str] = []
    key = ""
    for line in [*text.splitlines(), "end:"]:
        begins = _LINE.fullmatch(line)
        if begins is None:
            held.append(line.strip())
            continue
        if key:
            found_lines[key] = _text(held)
        key, held = begins[1], [(begins[2] or "").strip()]
    return found_lines


def _text(lines: list[str]) -> str:
    first, *rest = lines
    if first[:1] in ("|", ">"):
        return ("\n" if first[0] == "|" else " ").join(rest).strip()
    whole = " ".join(line for line in lines if line).strip()
    if len(whole) > 1 and whole[0] == whole[-1] and whole[0] in "'\"":
        return whole[1:-1].replace("''", "'") if whole[0] == "'" else whole[1:-1].replace('\\"', '"')
    return whole
