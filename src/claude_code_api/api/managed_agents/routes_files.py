"""`/v1/files`: files that clients bring, for sessions to find in their workspaces."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse

from claude_code_api.api.context import Context, Ctx, Who
from claude_code_api.api.managed_agents.shapes import file_shown, now
from claude_code_api.api.managed_agents.upload import Form, Part, check_fields, plain_name, receive
from claude_code_api.errors import InvalidRequest, ResourceNotFound
from claude_code_api.managed import files
from claude_code_api.managed.files import StoredFile
from claude_code_api.managed.ids import FILE, new_id
from claude_code_api.managed.paging import cursor, page_of, shown

router = APIRouter(prefix="/v1/files", tags=["Managed Agents"])

_SHORTEST, _LONGEST = 3600, 90 * 24 * 3600
_MOST_IDS = 100
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "expires_in_seconds": {"type": "integer", "minimum": _SHORTEST, "maximum": _LONGEST},
                    },
                }
            }
        },
    }
}


@router.post("", summary="Upload a file", openapi_extra=_FORM)
async def upload(request: Request, context: Ctx, caller: Who) -> dict[str, Any]:
    """Keep a file, until it is deleted or has expired."""
    shelf, file_id = context.managed.shelf, new_id(FILE)
    await files.drop_expired(context.managed.store, shelf, now())
    is_kept = False
    try:
        form = await receive(request, _OneFile(context, caller.tenant, file_id))
        part, seconds = _read(form)
        made_at = now()
        file = StoredFile(
            id=file_id,
            filename=plain_name(part.filename or "", part.mime_type),
            mime_type=part.mime_type,
            size_bytes=part.size,
            created_at=made_at,
            expires_at=None if seconds is None else made_at + seconds,
        )
        await asyncio.to_thread(shelf.finish, caller.tenant, file_id)
        await context.managed.store.add_file(caller.tenant, file)
        is_kept = True
    finally:
        if not is_kept:
            await asyncio.to_thread(shelf.drop, caller.tenant, file_id)
    return file_shown(file)


@router.get("", summary="List the files")
async def list_files(
    context: Ctx,
    caller: Who,
    ids: Annotated[list[str] | None, Query(description="Only these, all on one page.")] = None,
    bracketed: Annotated[list[str] | None, Query(alias="ids[]", description="The same.")] = None,
    limit: Annotated[int | None, Query(ge=1, le=1000, description="Most on a page; 20 by default.")] = None,
    page: Annotated[str | None, Query(description="The `next_page` of the page before.")] = None,
    scope_id: Annotated[str | None, Query(description="Only those of this session.")] = None,
) -> dict[str, Any]:
    """Your files, the last one first. None of them is of a session: all were uploaded."""
    if scope_id is not None:
        return {"data": [], "next_page": None}
    store = context.managed.store
    named = list(dict.fromkeys((ids or []) + (bracketed or [])))
    if named:
        if page is not None or limit is not None:
            raise InvalidRequest("ids: neither page nor limit goes with it.", param="ids")
        if len(named) > _MOST_IDS:
            raise InvalidRequest(f"ids: at most {_MOST_IDS} are taken, not {len(named)}.", param="ids")
        found = await store.named_files(caller.tenant, named, now())
        return {"data": [file_shown(one) for one in found], "next_page": None}
    most = limit or 20
    found = await store.files(caller.tenant, page_of(page, most), now=now())
    return shown(found, most, file_shown, lambda file: cursor(file.created_at, file.id))


@router.get("/{file_id}", summary="Retrieve a file's metadata")
async def retrieve(file_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """What is known of one file."""
    return file_shown(await files.found(context.managed.store, caller.tenant, file_id, now()))


@router.get("/{file_id}/content", summary="Download a file", response_class=FileResponse)
async def download(file_id: str, context: Ctx, caller: Who) -> FileResponse:
    """Its bytes."""
    file = await files.found(context.managed.store, caller.tenant, file_id, now())
    path = context.managed.shelf.path_of(caller.tenant, file_id)
    if not await asyncio.to_thread(path.is_file):
        raise ResourceNotFound(f"The bytes of the file {file_id!r} are not there any more.", param="file_id")
    # A browser must not take a client's file for a page of this server.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    return FileResponse(path, media_type=file.mime_type, filename=file.filename, headers=headers)


@router.delete("/{file_id}", summary="Delete a file")
async def delete(file_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """Forget it; copies in sessions' workspaces stay."""
    await files.delete(context.managed.store, context.managed.shelf, caller.tenant, file_id)
    return {"id": file_id, "type": "file_deleted"}


@dataclass(slots=True)
class _OneFile:
    """Opens the place of the one file that a form may have."""

    context: Context
    tenant: str
    file_id: str
    is_open: bool = False

    def __call__(self, part: Part) -> BinaryIO:
        if self.is_open or part.name != "file":
            raise InvalidRequest("The form must have one file, in the field 'file'.", param="file")
        self.is_open = True
        return self.context.managed.shelf.begin(self.tenant, self.file_id).open("wb")


def _read(form: Form) -> tuple[Part, int | None]:
    """The file, and for how many seconds it is kept."""
    check_fields(form, ("file", "expires_in_seconds"))
    if not form.files:
        raise InvalidRequest("file is missing: send it as a part of the form that has a filename.", param="file")
    seconds = form.fields.get("expires_in_seconds")
    if seconds is None:
        return form.files[0], None
    if not seconds.isdecimal() or len(seconds) > 9 or not _SHORTEST <= int(seconds) <= _LONGEST:
        raise InvalidRequest(
            f"expires_in_seconds must be a number from {_SHORTEST} to {_LONGEST}.", param="expires_in_seconds"
        )
    return form.files[0], int(seconds)
