"""Files and skills with the official Anthropic SDK, and forms that no SDK would send."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic
from anthropic.lib import files_from_dir

from tests.anthropic_strict import strict
from tests.conftest import Starts
from tests.gateway import Gateway
from tests.resources import SKILL, refusal, sdk, skill_dir


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Anthropic]:
    with sdk(gateway) as client:
        yield client


def test_a_file_comes_back_as_it_was(client: Anthropic, gateway: Gateway) -> None:
    content = bytes(range(256)) * 4096 + b"\r\n--boundary"
    made = strict(client.beta.files.upload(file=("../../etc/pass\u00e9.txt", content, "text/plain")))
    assert (made.filename, made.mime_type, made.size_bytes) == ("pass\u00e9.txt", "text/plain", len(content))
    assert strict(client.beta.files.retrieve_metadata(made.id)) == made
    answer = client.beta.files.download(made.id)
    assert answer.read() == content
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    (stored,) = gateway.data.rglob(f"{made.id}*")
    assert stored.read_bytes() == content
    assert strict(client.beta.files.delete(made.id)).type == "file_deleted"
    assert not stored.exists()
    with pytest.raises(anthropic.NotFoundError):
        client.beta.files.download(made.id)
    with pytest.raises(anthropic.NotFoundError):
        client.beta.files.delete(made.id)


def test_files_are_listed_by_page_and_by_id_and_expire(client: Anthropic) -> None:
    made = [client.beta.files.upload(file=(f"{number}.json", b"{}")) for number in range(3)]
    page = client.beta.files.list(limit=2)
    assert [one.id for one in page.data] == [made[2].id, made[1].id]
    assert [one.id for one in page][2] == made[0].id
    named = client.beta.files.list(ids=[made[0].id, "file_unknown", made[2].id])
    assert [strict(one).id for one in named.data] == [made[0].id, made[2].id]
    assert named.next_page is None
    assert made[0].mime_type == "application/json"
    assert client.beta.files.list(scope_id="sesn_unknown").data == []
    with pytest.raises(anthropic.BadRequestError, match="ids"):
        client.beta.files.list(ids=[made[0].id], limit=1)
    kept = client.beta.files.upload(file=("a", b"1"), expires_in_seconds=3600)
    assert kept.expires_at == kept.created_at + timedelta(hours=1)
    with pytest.raises(anthropic.BadRequestError, match="expires_in_seconds"):
        client.beta.files.upload(file=("a", b"1"), expires_in_seconds=59)
    assert client.beta.files.upload(file=("", b"1", "text/plain")).filename == "unnamed.txt"


def form(
    gateway: Gateway, body: bytes, kind: str = "multipart/form-data; boundary=x", **headers: str
) -> httpx.Response:
    return gateway.http.post("/v1/files", content=body, headers={"content-type": kind, **headers})


PART = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n1\r\n'


def test_a_form_that_is_none_leaves_nothing_behind(gateway: Gateway) -> None:
    before = sorted((gateway.data).rglob("file_*"))
    other = PART.replace(b'"file"', b'"other"')
    for body, words in (
        (PART, "last boundary is missing"),
        (b"nonsense", "not a form"),
        (b"--x--\r\n", "file is missing"),
        (PART + PART + b"--x--\r\n", "one file"),
        (other + b"--x--\r\n", "in the field 'file'"),
        (PART + b'--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nx\r\n--x--\r\n', "purpose: there is no"),
    ):
        answer = form(gateway, body)
        assert answer.status_code == 400, answer.text
        assert words in answer.json()["error"]["message"]
    assert "boundary" in form(gateway, PART, "multipart/form-data").json()["error"]["message"]
    assert sorted(gateway.data.rglob("file_*")) == before
    assert form(gateway, PART + b"--x--\r\n").status_code == 200


def test_a_form_has_so_many_parts_and_a_field_once(gateway: Gateway) -> None:
    """Each part's head takes its time to read: a body of nothing else held everybody up for minutes."""
    field = b'--x\r\ncontent-disposition: form-data; name="expires_in_seconds"\r\n\r\n3600\r\n'
    many = b"".join(field.replace(b"expires", str(number).encode()) for number in range(20_000))
    assert "more than 1000 parts" in form(gateway, many + b"--x--\r\n").json()["error"]["message"]
    twice = form(gateway, PART + field + field + b"--x--\r\n")
    assert (twice.status_code, "twice" in twice.json()["error"]["message"]) == (400, True)


def test_a_form_is_taken_from_no_foreign_page_and_nowhere_else(gateway: Gateway) -> None:
    whole = PART + b"--x--\r\n"
    for origin in ("https://evil.example", "null"):
        refused = form(gateway, whole, origin=origin)
        assert refused.status_code == 403
        assert refused.json()["error"]["type"] == "permission_error"
    assert form(gateway, b"{}", "application/json").status_code == 415
    kind = {"content-type": "multipart/form-data; boundary=x"}
    for path in ("/v1/agents", "/v1/files/file_1", "/v1/skills/x/versions/y", "/v1/chat/completions"):
        assert gateway.http.post(path, content=whole, headers=kind).status_code == 415


def test_a_file_may_be_as_large_as_a_body(start_gateway: Starts) -> None:
    gateway = start_gateway({"server__max_body_bytes": 100_000})
    with sdk(gateway) as client:
        made = client.beta.files.upload(file=("a", b"x" * 90_000))
        assert made.size_bytes == 90_000
        with pytest.raises(anthropic.APIStatusError) as error:
            client.beta.files.upload(file=("a", b"x" * 110_000))
        assert refusal(error)[0] == 413

        def chunks() -> Iterator[bytes]:
            yield PART[:-2]
            for _ in range(20):
                yield b"x" * 10_000

        answer = gateway.http.post(
            "/v1/files", content=chunks(), headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert answer.status_code == 413
        assert {path.name for path in gateway.data.rglob("file_*")} == {made.id}


def test_a_skill_is_kept_by_versions_and_named_by_an_agent(client: Anthropic, tmp_path: Path) -> None:
    skill = strict(client.beta.skills.create(files=files_from_dir(skill_dir(tmp_path)), display_name="Pirate talk"))
    assert (skill.display_name, skill.source.type) == ("Pirate talk", "custom")
    first = strict(client.beta.skills.versions.retrieve("latest", skill_id=skill.id))
    assert (first.id, first.name) == (skill.latest_version_id, "pirate")
    assert first.description == "Speak like a pirate, when asked to."
    agent = client.beta.agents.create(
        name="A", model="sonnet", skills=[{"type": "custom", "skill_id": skill.id, "version": "latest"}]
    )
    assert [strict(one).to_dict() for one in agent.skills] == [
        {"type": "custom", "skill_id": skill.id, "version": first.id}
    ]
    (tmp_path / "any-name" / "SKILL.md").write_text(SKILL.replace("Arr.", "Ahoy."))
    second = strict(client.beta.skills.versions.create(skill.id, files=files_from_dir(tmp_path / "any-name")))
    assert client.beta.skills.retrieve(skill.id).latest_version_id == second.id
    assert [strict(one).id for one in client.beta.skills.versions.list(skill.id, limit=1)] == [second.id, first.id]
    assert client.beta.agents.retrieve(agent.id).skills == agent.skills
    whole = zipfile.ZipFile(io.BytesIO(client.beta.skills.versions.download(second.id, skill_id=skill.id).read()))
    assert whole.namelist() == ["pirate/SKILL.md", "pirate/scripts/arr.py"]
    assert whole.read("pirate/SKILL.md").endswith(b"Ahoy.\n")
    assert strict(client.beta.skills.versions.delete(first.id, skill_id=skill.id)).type == "skill_version_deleted"
    with pytest.raises(anthropic.BadRequestError, match="only one"):
        client.beta.skills.versions.delete(second.id, skill_id=skill.id)
    assert skill.id in {strict(one).id for one in client.beta.skills.list(source="custom")}
    assert client.beta.skills.list(source="anthropic").data == []
    assert strict(client.beta.skills.delete(skill.id)).type == "skill_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.beta.skills.retrieve(skill.id)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([("s/README.md", b"x")], "there must be a SKILL.md"),
        ([("SKILL.md", b"x")], "files.0: a skill's file is named by the way to it"),
        ([("s/../../SKILL.md", b"x")], "files.0: a skill's file is named"),
        ([("/etc/SKILL.md", b"x")], "files.0: a skill's file is named"),
        ([("skill.zip", b"PK")], "A zip has to be unpacked"),
        ([("s/SKILL.md", SKILL.encode()), ("t/a", b"x")], "files.1: all files must be in one directory"),
        ([("s/SKILL.md", SKILL.encode()), ("s/skill.MD", b"x")], "files.1: 'skill.MD' is there twice"),
        ([("s/SKILL.md", SKILL.encode()), ("s/SKILL.md/a", b"x")], "is a file and a directory"),
        ([("s/SKILL.md", b"Arr.")], "must begin with front matter"),
        ([("s/SKILL.md", SKILL.replace("pirate\n", "Pirate Talk\n", 1).encode())], "name must have"),
        ([("s/SKILL.md", b"---\nname: a\n---\n")], "description must have"),
    ],
)
def test_a_skill_that_is_none_leaves_nothing_behind(
    client: Anthropic, gateway: Gateway, files: Any, words: str
) -> None:
    before = sorted(gateway.data.rglob("skillver_*"))
    with pytest.raises(anthropic.BadRequestError) as error:
        client.beta.skills.create(files=files)
    assert words in refusal(error)[2]
    assert sorted(gateway.data.rglob("skillver_*")) == before
