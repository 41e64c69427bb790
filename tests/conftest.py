"""What the tests share: the offline model, which records what it was asked, and a server in front of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from claude_code_api.offline.server import OfflineModel
from tests.gateway import Gateway

_LOG_SHOWN = 4000


class Model:
    """The offline model, and the requests that reached it."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.server = OfflineModel(seen=self.requests.append)

    def asked(self, needle: str) -> list[dict[str, Any]]:
        """The requests whose last user message contains `needle`."""
        return [body for body in self.requests if needle in str(_last_of_user(body))]

    def dialogue(self, needle: str) -> list[tuple[str, str]]:
        """The dialogue of the only request whose last user message contains `needle`: (role, text) pairs."""
        (body,) = self.asked(needle)
        dialogue = []
        for message in body["messages"]:
            content = message["content"]
            texts = [content] if isinstance(content, str) else [block.get("text", "") for block in content]
            said = "".join(text for text in texts if not text.lstrip().startswith("<system-reminder>"))
            if message["role"] != "system":
                dialogue.append((message["role"], said))
        return dialogue


def _last_of_user(body: dict[str, Any]) -> Any:
    return [message for message in body["messages"] if message["role"] == "user"][-1]


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    """The offline model of a test file: what another file asks is not seen by it."""
    model = Model()
    with model.server:
        yield model


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the servers of its test have printed last."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Gateway):
                report.sections.append(("the server's log", value.log()[-_LOG_SHOWN:]))
            elif isinstance(value, Starts):
                report.sections += [("a server's log", server.log()[-_LOG_SHOWN:]) for server in value.started]
    return report


@pytest.fixture(scope="module")
def gateway(model: Model) -> Iterator[Gateway]:
    """A server with the default settings, which the tests of a file share: each says something of its own."""
    server = Gateway(model.server.url, {"claude__upstream_retry_seconds": 0.5})
    yield server
    server.stop()


class Starts:
    """Starts servers with settings of a test's own."""

    def __init__(self, model: Model) -> None:
        self.started: list[Gateway] = []
        self._model = model

    def __call__(self, settings: dict[str, Any] | None = None, env: dict[str, str] | None = None) -> Gateway:
        self.started.append(Gateway(self._model.server.url, settings, env))
        return self.started[-1]


@pytest.fixture
def start_gateway(model: Model) -> Iterator[Starts]:
    """Start servers with settings of the test's own."""
    starts = Starts(model)
    yield starts
    for server in starts.started:
        server.stop()
