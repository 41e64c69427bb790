"""Which keys let a request in, as whom, and what is said to those that stay out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from claude_code_api.core.keys import ANYBODY, ApiKey, Caller, admit, digest_of, id_of, written
from claude_code_api.errors import AdminOnly, InvalidApiKey, ProfileNotAllowed

NOW = 1_800_000_000.0
TEXT = written(bytes(range(6)), b"\x07" * 32)
OTHER = written(bytes(range(6)), b"\x08" * 32)
KEY = ApiKey("000102030405", digest_of(TEXT), "acme", "alice", ("chat",), False, NOW - 100, None, None)


def refusal(given: str | None, key: ApiKey = KEY) -> str:
    with pytest.raises(InvalidApiKey) as caught:
        admit(given, {key.id: key}, NOW)
    return caught.value.message


def test_a_key_is_recognisable_and_its_digest_does_not_show_it() -> None:
    assert f"ccapi_000102030405_{'07' * 32}" == TEXT
    assert id_of(TEXT) == "000102030405"
    assert len(digest_of(TEXT)) == 64
    assert "07" * 8 not in digest_of(TEXT)


@pytest.mark.parametrize(
    "text", ["", "sk-abc", "ccapi_000102030405", TEXT[:-1], TEXT + "0", TEXT.upper(), f" {TEXT}", f"{TEXT}\n"]
)
def test_what_is_not_a_whole_key_has_no_id(text: str) -> None:
    assert id_of(text) is None


def test_a_valid_key_says_who_calls() -> None:
    assert admit(TEXT, {KEY.id: KEY}, NOW) == Caller("acme", KEY.id, ("chat",), is_admin=False)


@pytest.mark.parametrize("given", [OTHER, "unused", "Ünusèd", TEXT[:-1], written(b"\xff" * 6, b"\x07" * 32)])
def test_another_key_is_unknown_and_not_repeated(given: str) -> None:
    message = refusal(given)
    assert "not known here" in message
    assert given not in message
    assert KEY.id not in message


@pytest.mark.parametrize("given", [None, ""])
def test_without_a_key_the_message_says_how_to_send_one(given: str | None) -> None:
    assert "Authorization: Bearer" in refusal(given)
    assert "x-api-key" in refusal(given)


def test_an_expired_key_opens_nothing_from_its_last_moment_on() -> None:
    assert admit(TEXT, {KEY.id: replace(KEY, expires_at=NOW + 0.001)}, NOW).tenant == "acme"
    message = refusal(TEXT, replace(KEY, expires_at=NOW))
    assert "expired on 2027-01-15 at 08:00 UTC" in message
    assert TEXT not in message


def test_a_revoked_key_opens_nothing_expired_or_not() -> None:
    for expires_at in (None, NOW + 100, NOW - 100):
        assert "was revoked" in refusal(TEXT, replace(KEY, revoked_at=NOW - 1, expires_at=expires_at))


def test_somebody_elses_guess_does_not_learn_that_a_key_was_revoked() -> None:
    assert "not known here" in refusal(OTHER, replace(KEY, revoked_at=NOW - 1))


def test_profiles_and_admin_rights() -> None:
    caller = Caller("acme", KEY.id, ("chat", "review"), is_admin=False)
    caller.check_profile("chat")
    with pytest.raises(ProfileNotAllowed, match=r"agent.*chat, review"):
        caller.check_profile("agent")
    with pytest.raises(AdminOnly):
        caller.check_admin()
    ANYBODY.check_profile("agent")
    ANYBODY.check_admin()
    assert ANYBODY.tenant == "default"
