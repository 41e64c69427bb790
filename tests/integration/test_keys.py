"""API keys: made by the command, asked for by a real server, and what each tenant sees of the others."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, eventually, text_of
from tests.integration.test_command_line import run

Start = Callable[..., Gateway]
SOON_S = 5.0
"""Within this, a server does what a command said."""


def keys(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, *rest = arguments
    return run("keys", command, *rest, "--data-dir", str(data), cwd=data.parent)


def make(data: Path, *arguments: str) -> str:
    """A new key."""
    done = keys(data, "create", *("--name", "test", *arguments))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def public(key: str) -> str:
    return key.split("_")[1]


def client(gateway: Gateway, key: str | None) -> httpx.Client:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=gateway.url, headers=headers, timeout=60)


def ask(http: httpx.Client, text: str, conversation_id: str | None = None, **headers: str) -> httpx.Response:
    body: dict[str, Any] = {"model": "sonnet", "messages": [{"role": "user", "content": text}]}
    if conversation_id is not None:
        body["conversation_id"] = conversation_id
    return http.post("/v1/chat/completions", json=body, headers=headers)


def refused(answer: httpx.Response, words: str) -> None:
    """A 401 as OpenAI has it."""
    assert answer.status_code == 401, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)
    assert re.search(words, error["message"]), error["message"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["X-Request-ID"]


class Guarded:
    """A server with keys: two tenants, one with an admin, and one key for another profile."""

    def __init__(self, model: Model) -> None:
        self.gateway = Gateway(model.server.url, {"server__allowed_origins": ["https://chat.example"]})
        data = self.gateway.data
        self.alice = client(self.gateway, make(data, "--name", "alice", "--tenant", "acme"))
        self.colleague = client(self.gateway, make(data, "--name", "carol", "--tenant", "acme"))
        self.bob = client(self.gateway, make(data, "--name", "bob", "--tenant", "other"))
        self.admin = client(self.gateway, make(data, "--name", "root", "--admin"))
        self.agent = client(self.gateway, make(data, "--name", "agent", "--profiles", "agent"))
        eventually(lambda: self.admin.get("/stats").status_code == 200, SOON_S)
        eventually(lambda: self.agent.get("/v1/models").status_code == 200, SOON_S)


@pytest.fixture(scope="module")
def guarded(model: Model) -> Iterator[Guarded]:
    """One server with keys for the tests of this file."""
    guarded = Guarded(model)
    yield guarded
    guarded.gateway.stop()


# Who comes in


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/sonnet"),
        ("GET", "/v1/sessions"),
        ("DELETE", "/v1/sessions/x"),
        ("GET", "/stats"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/health?deep=1"),
        ("POST", "/health"),
        ("GET", "/nowhere"),
        ("GET", "/"),
    ],
)
def test_everything_needs_a_key(guarded: Guarded, method: str, path: str) -> None:
    with client(guarded.gateway, None) as nobody:
        refused(nobody.request(method, path), "Authorization: Bearer KEY.*x-api-key: KEY")


def test_health_is_open(guarded: Guarded) -> None:
    with client(guarded.gateway, None) as nobody:
        assert nobody.get("/health").json()["status"] == "ok"


def test_a_key_comes_in_either_header(guarded: Guarded) -> None:
    key = guarded.alice.headers["Authorization"].removeprefix("Bearer ")
    for headers in (
        {"Authorization": f"bearer {key}"},
        {"x-api-key": key},
        {"Authorization": "Basic x", "x-api-key": key},
    ):
        assert httpx.get(f"{guarded.gateway.url}/v1/models", headers=headers).status_code == 200


def test_an_unknown_key_is_refused_and_not_repeated(guarded: Guarded) -> None:
    key = guarded.alice.headers["Authorization"].removeprefix("Bearer ")
    for other in (f"{key[:-4]}0000", key[:-1], "sk-proj-abcdefgh", f"ccapi_{'0' * 12}_{'1' * 64}"):
        answer = httpx.get(f"{guarded.gateway.url}/v1/models", headers={"Authorization": f"Bearer {other}"})
        refused(answer, "not known here")
        assert other not in answer.text
        assert other not in guarded.gateway.log()
    assert key not in guarded.gateway.log()


def test_a_key_opens_any_host_and_nothing_else_does(guarded: Guarded) -> None:
    assert guarded.alice.get("/v1/models", headers={"Host": "gateway.example:8000"}).status_code == 200
    with client(guarded.gateway, None) as nobody:
        refused(nobody.get("/v1/models", headers={"Host": "evil.example"}), "Authorization")
        assert nobody.get("/health", headers={"Host": "evil.example"}).status_code == 403


def test_our_own_page_may_send_requests_and_others_may_not(guarded: Guarded) -> None:
    own = {"Host": "gateway.example:8000", "Origin": "http://gateway.example:8000"}
    assert guarded.alice.get("/v1/models", headers=own).status_code == 200
    assert guarded.alice.get("/v1/models", headers={"Origin": "https://evil.example"}).status_code == 403
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    with client(guarded.gateway, None) as nobody:
        refused(nobody.get("/v1/models", headers=rebound), "Authorization")


def test_a_preflight_needs_no_key_and_a_page_can_read_what_is_wrong(guarded: Guarded) -> None:
    origin = {"Origin": "https://chat.example"}
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with client(guarded.gateway, None) as nobody:
        preflight = nobody.options("/v1/chat/completions", headers=origin | asks)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin["Origin"])
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        answer = nobody.get("/v1/models", headers=origin)
        refused(answer, "Authorization")
        assert answer.headers["access-control-allow-origin"] == origin["Origin"]


def test_stats_are_for_admins(guarded: Guarded) -> None:
    answer = guarded.alice.get("/stats")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "admin_only")
    assert guarded.admin.get("/stats").status_code == 200


def test_a_key_for_another_profile_cannot_chat(guarded: Guarded) -> None:
    answer = ask(guarded.agent, "hello")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "profile_not_allowed")
    assert "it is for: agent" in answer.json()["error"]["message"]


def test_the_description_says_how_a_key_is_sent(guarded: Guarded) -> None:
    described = guarded.alice.get("/openapi.json").json()
    schemes = described["components"]["securitySchemes"]
    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    assert described["security"] == [{"bearer": []}, {"x-api-key": []}]
    assert described["paths"]["/health"]["get"]["security"] == []


# What a tenant sees


def test_one_id_is_another_conversation_for_each_tenant(guarded: Guarded) -> None:
    text_of(ask(guarded.alice, "Remember the word kiwi.", "shared"))
    first = ask(guarded.bob, "List everything?", "shared")
    assert "kiwi" not in text_of(first)
    assert first.headers["X-Session-Start"] == "cold"
    text_of(ask(guarded.bob, "Remember the word plum.", "shared"))
    again = ask(guarded.alice, "List everything?", "shared")
    assert text_of(again) == "You asked me to remember: kiwi."
    assert again.headers["X-Session-Start"] == "live"
    assert text_of(ask(guarded.colleague, "List everything?", "shared")) == "You asked me to remember: kiwi."
    mine, theirs = (who.get("/v1/sessions/shared").json() for who in (guarded.alice, guarded.bob))
    assert (mine["turns"], theirs["turns"]) == (3, 2)
    assert mine["pid"] != theirs["pid"]
    for who in (guarded.alice, guarded.bob):
        assert who.post("/v1/sessions/shared/hibernate").json()["pid"] is None
    assert text_of(ask(guarded.bob, "List everything?", "shared")) == "You asked me to remember: plum."
    assert text_of(ask(guarded.alice, "List everything?", "shared")) == "You asked me to remember: kiwi."


def test_first_turns_of_two_tenants_at_once_do_not_meet(guarded: Guarded) -> None:
    people = {"kiwi": guarded.alice, "plum": guarded.bob}
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda word: text_of(ask(people[word], f"Remember the word {word}.", "race")), people))
    for word, who in people.items():
        assert text_of(ask(who, "List everything?", "race")) == f"You asked me to remember: {word}."


@pytest.mark.parametrize("asleep", [False, True])
def test_somebody_elses_conversation_cannot_be_seen_or_touched(guarded: Guarded, asleep: bool) -> None:
    name = f"private-{asleep}"
    text_of(ask(guarded.alice, "Remember the word kiwi.", name))
    if asleep:
        assert guarded.alice.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    before = guarded.alice.get(f"/v1/sessions/{name}").json()
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/hibernate")):
        answer = guarded.bob.request(method, f"/v1/sessions/{name}{path}")
        nobodys = guarded.bob.request(method, f"/v1/sessions/nobodys{path}")
        assert answer.status_code == nobodys.status_code == 404, (method, path)
        assert answer.text == nobodys.text.replace("nobodys", name)
    assert guarded.bob.get("/v1/sessions", params={"after": name}).status_code == 404
    listed = {who: {one["id"] for one in who.get("/v1/sessions?limit=1000").json()["data"]} for who in people(guarded)}
    assert name in listed[guarded.alice]
    assert name in listed[guarded.colleague]
    assert name not in listed[guarded.bob]
    assert name not in listed[guarded.admin]
    after = guarded.alice.get(f"/v1/sessions/{name}").json()
    assert (after["pid"], after["turns"]) == (before["pid"], 1)
    text_of(ask(guarded.bob, "hello", name))
    assert guarded.bob.delete(f"/v1/sessions/{name}").status_code == 204
    assert text_of(ask(guarded.alice, "List everything?", name)) == "You asked me to remember: kiwi."


def people(guarded: Guarded) -> list[httpx.Client]:
    return [guarded.alice, guarded.colleague, guarded.bob, guarded.admin]


def test_a_history_finds_no_conversation_of_another_tenant(guarded: Guarded) -> None:
    said = [{"role": "user", "content": "lineage: remember the word kiwi."}]
    first = guarded.alice.post("/v1/chat/completions", json={"messages": said})
    said += [{"role": "assistant", "content": text_of(first)}, {"role": "user", "content": "List everything?"}]
    name = first.headers["X-Conversation-ID"]
    stolen = guarded.bob.post("/v1/chat/completions", json={"messages": said})
    assert stolen.headers["X-Conversation-ID"] != name
    assert guarded.alice.get(f"/v1/sessions/{name}").json()["turns"] == 1
    own = guarded.colleague.post("/v1/chat/completions", json={"messages": said})
    assert (own.headers["X-Conversation-ID"], own.headers["X-Session-Start"]) == (name, "live")


def test_an_idempotency_key_is_its_tenants(guarded: Guarded) -> None:
    headers = {"Idempotency-Key": "the-same"}
    first = ask(guarded.alice, "hello", "once", **headers)
    other = ask(guarded.bob, "hello", "once", **headers)
    again = ask(guarded.alice, "hello", "once", **headers)
    assert [answer.headers.get("Idempotent-Replayed") for answer in (first, other, again)] == [None, None, "true"]
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    assert ask(guarded.bob, "something else", "once-2", **headers).status_code == 422
    assert ask(guarded.alice, "slowly", "once-3", **{"Idempotency-Key": "bobs"}).status_code == 200
    assert ask(guarded.bob, "quickly", "once-3", **{"Idempotency-Key": "bobs"}).status_code == 200


def test_an_idempotency_key_joins_no_running_turn_of_another_tenant(guarded: Guarded) -> None:
    headers = {"Idempotency-Key": "at-once"}
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda who: ask(who, "hello", "at-once", **headers), [guarded.alice, guarded.bob]))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["id"] != answers[1].json()["id"]


def test_everything_is_counted_for_the_admin(guarded: Guarded) -> None:
    before = guarded.admin.get("/stats").json()["sessions"]["total"]
    for who in (guarded.alice, guarded.bob):
        text_of(ask(who, "hello", "counted"))
    assert guarded.admin.get("/stats").json()["sessions"]["total"] == before + 2


# Keys that come and go


def test_the_first_key_closes_a_running_server_and_the_last_one_leaves_it_closed(start_gateway: Start) -> None:
    gateway = start_gateway({"log__format": "json"})
    text_of(gateway.ask("Remember the word kiwi.", "before"))
    done = keys(gateway.data, "create", "--name", "alice")
    key = done.stdout.strip()
    assert "It is the first one" in done.stderr
    assert key not in done.stderr
    eventually(lambda: gateway.http.get("/v1/models").status_code == 401, SOON_S)
    with client(gateway, key) as alice:
        assert text_of(ask(alice, "List everything?", "before")) == "You asked me to remember: kiwi."
        lines = [json.loads(line) for line in gateway.log().splitlines() if '"session_reused"' in line]
        assert [(line["tenant"], line["key_id"]) for line in lines] == [("default", public(key))]

        done = keys(gateway.data, "revoke", public(key))
        assert (done.returncode, key in done.stdout) == (0, False)
        eventually(lambda: alice.get("/v1/models").status_code == 401, SOON_S)
        refused(alice.get("/v1/models"), f"{public(key)} was revoked on .* `claude-code-api keys create`")
        refused(gateway.http.get("/v1/models"), "Authorization")
        assert "revoked" in keys(gateway.data, "list").stdout
        assert "was the last" not in done.stdout

        done = keys(gateway.data, "revoke", public(key), "--delete")
        assert "everybody on this machine may send requests again" in done.stdout
        eventually(lambda: gateway.http.get("/v1/models").status_code == 200, SOON_S)
        assert alice.get("/v1/models").status_code == 200, "any key is accepted"
        assert gateway.http.get("/v1/models", headers={"Host": "evil.example"}).status_code == 403
    assert text_of(gateway.ask("List everything?", "before")) == "You asked me to remember: kiwi."


def test_a_key_expires_while_the_server_runs(start_gateway: Start) -> None:
    gateway = start_gateway()
    end = datetime.now(UTC) + timedelta(seconds=10)
    with client(gateway, make(gateway.data, "--expires", end.isoformat())) as alice:
        eventually(lambda: gateway.http.get("/v1/models").status_code == 401, SOON_S)
        assert alice.get("/v1/models").status_code == 200
        time.sleep(max(0.0, end.timestamp() - time.time()))
        refused(alice.get("/v1/models"), "expired on")
        assert "expired" in keys(gateway.data, "list").stdout


# Other machines


def test_other_machines_are_let_in_by_a_key_only(model: Model, tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = run("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(data), cwd=tmp_path)
    assert done.returncode == 2
    assert "`claude-code-api keys create" in done.stderr
    assert not data.exists()

    key = make(data)
    gateway = Gateway(model.server.url, {"server__host": "0.0.0.0"}, data=data)
    try:
        with client(gateway, key) as alice:
            assert text_of(ask(alice, "hello")) != ""
            assert alice.get("/v1/models", headers={"Host": "server.example:8000"}).status_code == 200
            assert gateway.http.get("/health", headers={"Host": "server.example"}).status_code == 200
            refused(gateway.http.get("/v1/models"), "Authorization")
            assert keys(data, "revoke", public(key), "--delete").returncode == 0
            eventually(lambda: alice.get("/v1/models").status_code == 401, SOON_S)
            for host in ("127.0.0.1", "server.example"):
                refused(alice.get("/v1/models", headers={"Host": host}), "no API keys any more.*keys create")
            refused(ask(alice, "hello"), "no API keys any more")
        make(data)
        eventually(lambda: "Authorization" in gateway.http.get("/v1/models").text, SOON_S)
    finally:
        gateway.stop()


# The commands


def test_a_key_is_shown_once_and_not_stored(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = keys(data, "create", "--name", "[red]Alice", "--tenant", "acme", "--profiles", "chat,agent", "--admin")
    key = done.stdout.strip()
    assert re.fullmatch(r"ccapi_[0-9a-f]{12}_[0-9a-f]{64}", key)
    assert key not in done.stderr
    listed = keys(data, "list").stdout
    assert key.split("_")[2] not in listed
    for word in (public(key), "[red]Alice", "acme", "chat, agent", "yes", "never", "valid"):
        assert word in listed, word
    stored = b"".join(path.read_bytes() for path in (data / "default").iterdir() if path.is_file())
    assert public(key).encode() in stored
    assert key.split("_")[2].encode() not in stored
    assert (data / "default" / "conversations.db").stat().st_mode & 0o077 == 0


def test_the_offline_model_has_keys_of_its_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make(data, "--offline", "--name", "stand-in")
    assert "stand-in" in keys(data, "list", "--offline").stdout
    assert keys(data, "list").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create",), "--name"),
        (("create", "--name", " "), "printable"),
        (("create", "--name", "x", "--tenant", "a b"), "--tenant"),
        (("create", "--name", "x", "--expires", "2001-01-01"), "is over"),
        (("create", "--name", "x", "--profiles", "a b"), "--profiles"),
        (("list",), "There is no database"),
        (("revoke", "abc"), "There is no database"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = keys(tmp_path / "data", *arguments)
    assert done.returncode == 2
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_unknown_key_cannot_be_revoked_and_is_not_repeated(guarded: Guarded) -> None:
    key = f"ccapi_{'0' * 12}_{'1' * 64}"
    done = keys(guarded.gateway.data, "revoke", key)
    assert done.returncode == 1
    assert "There is no such API key" in done.stderr
    assert key not in done.stdout + done.stderr


def test_a_database_of_an_earlier_version_is_brought_here_unless_a_server_uses_it(start_gateway: Start) -> None:
    gateway = start_gateway()
    database = gateway.data / "default" / "conversations.db"
    with sqlite3.connect(database) as connection:
        later = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'managed_%'")
        for table in ("api_key", "response_event", "response", *(name for (name,) in later.fetchall())):
            connection.execute(f"DROP TABLE {table}")
        for column in ("developer", "stop_sequence"):
            connection.execute(f"ALTER TABLE turn DROP COLUMN {column}")
        for column in ("toolbox", "metadata", "kept", "profile"):
            connection.execute(f"ALTER TABLE conversation DROP COLUMN {column}")
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
    connection.close()
    done = keys(gateway.data, "create", "--name", "alice")
    assert (done.returncode, done.stdout) == (2, "")
    assert "A server of an earlier version uses" in done.stderr
    gateway.process.terminate()
    gateway.process.wait(timeout=60)
    assert make(gateway.data).startswith("ccapi_")


def test_a_server_that_requires_keys_lets_nobody_in_without(start_gateway: Start) -> None:
    gateway = start_gateway({"server__require_keys": True})
    refused(gateway.ask("hello"), "require_keys")
    assert gateway.http.get("/health").status_code == 200
    assert gateway.http.head("/health").status_code == 200
    assert gateway.http.get("/health?deeper=1").status_code == 200
    assert gateway.http.get("/health?a=1&deep").status_code == 401
    key = make(gateway.data)
    with client(gateway, key) as http:
        eventually(lambda: ask(http, "hello").status_code == 200, SOON_S)
    keys(gateway.data, "revoke", public(key), "--delete")
    eventually(lambda: "require_keys" in gateway.ask("hello").text, SOON_S)
    assert "api_keys_gone" in gateway.log()


def test_a_bearer_without_a_key_hides_no_other(start_gateway: Start) -> None:
    gateway = start_gateway()
    key = make(gateway.data)
    headers = {"Authorization": "Bearer", "x-api-key": key}
    eventually(lambda: gateway.http.get("/v1/models").status_code == 401, SOON_S)
    assert gateway.http.get("/v1/models", headers=headers).status_code == 200
