"""Which model a client gets for the name that it asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_code_api.core.models import ModelNames
from claude_code_api.errors import ModelNotFound

MODELS = ModelNames(default="sonnet", aliases={"gpt-4o": "sonnet", "house": "local/model:7b"})
OPEN = ModelNames(default="sonnet", open_ended=True)


@pytest.mark.parametrize("name", ["sonnet", "opus", "haiku", "claude-sonnet-5-5", "claude-opus-4-1-20250805"])
def test_known_names_are_passed_on(name: str) -> None:
    assert MODELS.resolve(name) == name


def test_aliases_are_translated() -> None:
    assert MODELS.resolve("gpt-4o") == "sonnet"
    assert MODELS.resolve("house") == "local/model:7b"


def test_what_an_alias_stands_for_can_be_asked_for_directly() -> None:
    assert MODELS.resolve("local/model:7b") == "local/model:7b"


@pytest.mark.parametrize(
    ("retired", "family"),
    [
        ("claude-3-5-sonnet-20241022", "sonnet"),
        ("claude-3-5-sonnet-latest", "sonnet"),
        ("claude-3-7-sonnet-20250219", "sonnet"),
        ("claude-3-sonnet-20240229", "sonnet"),
        ("claude-sonnet-4-20250514", "sonnet"),
        ("claude-sonnet-4-0", "sonnet"),
        ("claude-3-opus-20240229", "opus"),
        ("claude-opus-4-20250514", "opus"),
        ("claude-3-haiku-20240307", "haiku"),
        ("claude-3-5-haiku-latest", "haiku"),
        ("claude-instant-1.2", "haiku"),
        ("claude-2.1", "sonnet"),
        ("claude-v1.3", "sonnet"),
    ],
)
def test_a_retired_model_gives_todays_of_its_family(retired: str, family: str) -> None:
    assert MODELS.resolve(retired) == family


def test_an_alias_may_stand_for_a_retired_model() -> None:
    assert ModelNames(default="sonnet", aliases={"old": "claude-3-opus-20240229"}).resolve("old") == "opus"


@pytest.mark.parametrize("name", ["gpt-5", "llama3", "", "Sonnet", "claude"])
def test_a_name_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        MODELS.resolve(name)
    assert caught.value.param == "model"


def test_another_endpoint_has_names_of_its_own() -> None:
    assert OPEN.resolve("qwen2.5-coder:32b") == "qwen2.5-coder:32b"
    assert OPEN.resolve("org/model@v1[1m]") == "org/model@v1[1m]"


@pytest.mark.parametrize("name", ["--help", "-p", "a b", "claude-\n", "claude-x;ls", "claude-$(id)", "x" * 129, "é"])
@pytest.mark.parametrize("models", [MODELS, OPEN])
def test_what_is_not_safe_as_an_argument_is_refused(models: ModelNames, name: str) -> None:
    with pytest.raises(ModelNotFound):
        models.resolve(name)


@given(st.text(alphabet="-aZ1.:/@[ ;$\n\x00é", max_size=8))
def test_whatever_comes_through_is_safe_as_an_argument(name: str) -> None:
    try:
        resolved = OPEN.resolve(name)
    except ModelNotFound:
        return
    assert resolved.isascii()
    assert resolved.isprintable()
    assert not resolved.startswith("-")
    assert " " not in resolved


def test_a_long_name_is_not_repeated_in_full() -> None:
    with pytest.raises(ModelNotFound) as caught:
        MODELS.resolve("x" * 10_000)
    assert len(caught.value.message) < 300


def test_the_list_begins_with_the_default_and_names_everything_once() -> None:
    assert MODELS.listed(["chat"]) == ["sonnet", "opus", "haiku", "gpt-4o", "house"]
    assert ModelNames(default="claude-opus-4-1").listed(["chat"])[0] == "claude-opus-4-1"


# Profiles


@pytest.mark.parametrize(
    ("name", "profile", "model"),
    [
        ("opus", "chat", "opus"),
        ("chat/opus", "chat", "opus"),
        ("agent/opus", "agent", "opus"),
        ("agent", "agent", "sonnet"),
        ("chat", "chat", "sonnet"),
        (None, "chat", "sonnet"),
        ("", "chat", "sonnet"),
        ("agent/gpt-4o", "agent", "sonnet"),
        ("agent/claude-3-5-sonnet-20241022", "agent", "sonnet"),
    ],
)
def test_a_name_opens_a_profile_with_a_model(name: str | None, profile: str, model: str) -> None:
    assert MODELS.open(name) == (profile, model)


@pytest.mark.parametrize("name", ["other/sonnet", "Agent/sonnet", "/sonnet", "agents/opus"])
def test_an_unknown_profile_names_those_there_are(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"chat/, agent/"):
        MODELS.open(name)


@pytest.mark.parametrize("name", ["agent/", "agent/agent", "agent/chat/opus", "agent/nothing", "chat/--model=x"])
def test_behind_a_profile_stands_a_model(name: str) -> None:
    with pytest.raises(ModelNotFound):
        MODELS.open(name)


def test_an_alias_can_name_a_profile_and_a_model_with_a_slash() -> None:
    names = ModelNames("sonnet", {"coder": "agent/opus", "arn": "arn:aws:bedrock/x", "our/one": "haiku"})
    assert names.open("coder") == ("agent", "opus")
    assert names.open("arn") == ("chat", "arn:aws:bedrock/x")
    assert names.open("our/one") == ("chat", "haiku")
    with pytest.raises(ModelNotFound):
        names.open("chat/coder")


def test_another_endpoints_names_may_have_slashes() -> None:
    names = ModelNames("meta/llama", open_ended=True)
    assert names.open("meta/llama") == ("chat", "meta/llama")
    assert names.open("agent/meta/llama") == ("agent", "meta/llama")
    assert names.open("agent") == ("agent", "meta/llama")


def test_the_list_names_each_profile() -> None:
    names = ModelNames("opus", {"gpt": "haiku"})
    assert names.listed(["chat", "agent"]) == [
        *("opus", "sonnet", "haiku", "gpt"),
        *("agent", "agent/opus", "agent/sonnet", "agent/haiku", "agent/gpt"),
    ]
    assert all(names.open(name).profile == "agent" for name in names.listed(["agent"]))
