"""`/v1/skills`: directories with a `SKILL.md` that agents can be given."""

from __future__ import annotations

import asyncio
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from claude_code_api.api.context import Context, Ctx
from claude_code_api.api.managed_agents.access import User
from claude_code_api.api.managed_agents.shapes import now, skill_shown, skill_version_shown
from claude_code_api.api.managed_agents.upload import Part, check_fields, receive
from claude_code_api.errors import InvalidRequest, ResourceNotFound
from claude_code_api.managed import skills
from claude_code_api.managed.ids import SKILL, SKILL_VERSION, new_id
from claude_code_api.managed.paging import cursor, page_of, shown
from claude_code_api.managed.skills import SkillVersion, StoredSkill

router = APIRouter(prefix="/v1/skills", tags=["Managed Agents"])

_LONGEST_LABEL = 255
_MOST_MANIFEST = 1_000_000
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files[]"],
                    "properties": {
                        "files[]": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "display_name": {"type": "string", "maxLength": _LONGEST_LABEL},
                    },
                }
            }
        },
    }
}

Limit = Annotated[int, Query(ge=1, le=1000, description="Most on a page.")]
PageOf = Annotated[str | None, Query(alias="page", description="The `next_page` of the page before.")]


@router.post("", summary="Create a skill", openapi_extra=_FORM)
async def create(request: Request, context: Ctx, caller: User) -> dict[str, Any]:
    """Keep a skill: the files of one directory, with a `SKILL.md` in it."""
    upload = _Upload(context, caller.tenant)
    async with upload:
        fields = await upload.read(request, ("files[]", "files", "display_name"))
        version = await upload.version(new_id(SKILL))
        label = fields.get("display_name") or version.name
        if len(label) > _LONGEST_LABEL or not label.isprintable():
            raise InvalidRequest(
                f"display_name must be one line of at most {_LONGEST_LABEL} characters.", param="display_name"
            )
        skill = StoredSkill(version.skill_id, label, version.created_at, version)
        await context.managed.store.add_skill(caller.tenant, skill)
        upload.is_kept = True
    return skill_shown(skill)


@router.get("", summary="List the skills")
async def list_skills(
    context: Ctx,
    caller: User,
    limit: Limit = 20,
    page: PageOf = None,
    source: Annotated[Literal["custom", "anthropic"] | None, Query(description="There are only custom ones.")] = None,
) -> dict[str, Any]:
    """Your skills, the last one made first."""
    if source == "anthropic":
        return {"data": [], "next_page": None}
    found = await context.managed.store.skills(caller.tenant, page_of(page, limit))
    return shown(found, limit, skill_shown, lambda skill: cursor(skill.created_at, skill.id))


@router.get("/{skill_id}", summary="Retrieve a skill")
async def retrieve(skill_id: str, context: Ctx, caller: User) -> dict[str, Any]:
    """One skill."""
    return skill_shown(await skills.found(context.managed.store, caller.tenant, skill_id))


@router.delete("/{skill_id}", summary="Delete a skill")
async def delete(skill_id: str, context: Ctx, caller: User) -> dict[str, Any]:
    """Forget it with all its versions. No session can be made of an agent that still has it."""
    gone = await context.managed.store.delete_skill(caller.tenant, skill_id)
    if not gone:
        raise ResourceNotFound(f"There is no skill {skill_id[:100]!r}.", param="skill_id")
    for version_id in gone:
        await asyncio.to_thread(context.managed.skills.drop, caller.tenant, version_id)
    return {"id": skill_id, "type": "skill_deleted"}


@router.post("/{skill_id}/versions", summary="Create a skill's version", openapi_extra=_FORM)
async def create_version(skill_id: str, request: Request, context: Ctx, caller: User) -> dict[str, Any]:
    """Keep another version, which is the newest from now on; agents that have another one keep that."""
    store = context.managed.store
    skill = await skills.found(store, caller.tenant, skill_id)
    upload = _Upload(context, caller.tenant)
    async with upload:
        await upload.read(request, ("files[]", "files"))
        version = await upload.version(skill_id)
        if version.name != skill.newest.name:
            raise InvalidRequest(
                f"SKILL.md: the skill's name is {skill.newest.name!r} and stays; {version.name!r} is another skill.",
                param="files",
            )
        if not await store.add_skill_version(caller.tenant, version):
            raise ResourceNotFound(f"There is no skill {skill_id!r} any more.", param="skill_id")
        upload.is_kept = True
    return skill_version_shown(version)


@router.get("/{skill_id}/versions", summary="List a skill's versions")
async def list_versions(
    skill_id: str, context: Ctx, caller: User, limit: Limit = 20, page: PageOf = None
) -> dict[str, Any]:
    """Its versions, the last one first."""
    store = context.managed.store
    await skills.found(store, caller.tenant, skill_id)
    found = await store.skill_versions(caller.tenant, skill_id, page_of(page, limit))
    return shown(found, limit, skill_version_shown, lambda version: cursor(version.created_at, version.id))


@router.get("/{skill_id}/versions/{version}", summary="Retrieve a skill's version")
async def retrieve_version(skill_id: str, version: str, context: Ctx, caller: User) -> dict[str, Any]:
    """One version; `latest` is the newest."""
    return skill_version_shown(await skills.found_version(context.managed.store, caller.tenant, skill_id, version))


@router.get("/{skill_id}/versions/{version}/content", summary="Download a skill's version", response_class=Response)
async def download(skill_id: str, version: str, context: Ctx, caller: User) -> Response:
    """Its files, as a zip."""
    if version == skills.LATEST:
        raise InvalidRequest("version must be the id of one; retrieve 'latest' to see which it is.", param="version")
    found = await skills.found_version(context.managed.store, caller.tenant, skill_id, version)
    root = context.managed.skills.path_of(caller.tenant, found.id)
    headers = {
        "Content-Disposition": f'attachment; filename="{found.name}.zip"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(await asyncio.to_thread(_zipped, root, found.name), media_type="application/zip", headers=headers)


@router.delete("/{skill_id}/versions/{version}", summary="Delete a skill's version")
async def delete_version(skill_id: str, version: str, context: Ctx, caller: User) -> dict[str, Any]:
    """Forget one version; the only one goes with its skill alone."""
    store = context.managed.store
    found = await skills.found_version(store, caller.tenant, skill_id, version)
    if not await store.delete_skill_version(caller.tenant, skill_id, found.id):
        raise InvalidRequest(
            f"The version {found.id!r} is the only one of its skill: delete the skill.", param="version"
        )
    await asyncio.to_thread(context.managed.skills.drop, caller.tenant, found.id)
    return {"id": found.id, "type": "skill_version_deleted"}


@dataclass(slots=True)
class _Upload:
    """The files of a new version, as they come; entered, it removes them unless they are kept."""

    context: Context
    tenant: str
    id: str = field(default_factory=lambda: new_id(SKILL_VERSION))
    directory: str | None = None
    taken: set[str] = field(default_factory=set)
    is_kept: bool = False

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        if not self.is_kept:
            await asyncio.to_thread(self.context.managed.skills.drop, self.tenant, self.id)

    async def read(self, request: Request, known: tuple[str, ...]) -> dict[str, str]:
        """Put the form's files in place; return its plain fields."""
        form = await receive(request, self._place)
        check_fields(form, known)
        return form.fields

    async def version(self, skill_id: str) -> SkillVersion:
        """What was uploaded, as a version of a skill."""
        return await asyncio.to_thread(self._version, skill_id)

    def _place(self, part: Part) -> BinaryIO:
        where = f"files.{len(self.taken)}"
        directory, *steps = skills.steps_of(part.filename or "", where)
        if directory != (self.directory or directory):
            raise InvalidRequest(
                f"{where}: all files must be in one directory; this is not {self.directory!r}.", param=where
            )
        self.directory = directory
        way = "/".join(steps)
        if way.casefold() in self.taken:
            raise InvalidRequest(f"{where}: {way!r} is there twice.", param=where)
        self.taken.add(way.casefold())
        target = self.context.managed.skills.begin(self.tenant, self.id).joinpath(*steps)
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return target.open("xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise InvalidRequest(f"{where}: {way!r} is a file and a directory.", param=where) from error

    def _version(self, skill_id: str) -> SkillVersion:
        manifest = self.context.managed.skills.begin(self.tenant, self.id) / skills.MANIFEST
        if self.directory is None or not manifest.is_file():
            raise InvalidRequest(
                f"files: there must be a {skills.MANIFEST} in the directory that holds them.", param="files"
            )
        with manifest.open("rb") as file:
            name, description = skills.described(file.read(_MOST_MANIFEST), self.directory)
        self.context.managed.skills.finish(self.tenant, self.id)
        return SkillVersion(self.id, skill_id, name, description, now())


def _zipped(root: Path, name: str) -> bytes:
    """A directory as a zip; no larger than a request's body, as which it came."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                archive.write(path, f"{name}/{path.relative_to(root).as_posix()}")
    return whole.getvalue()
