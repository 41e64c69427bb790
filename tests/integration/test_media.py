"""Images and files reach the model as they were sent: in live, resumed and imported conversations, on the real CLI."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import openai
import psutil
import pytest
from openai import OpenAI

from tests.conftest import Model
from tests.gateway import Gateway, text_of
from tests.images import GIF, JPEG, PDF, base64_of, data_url, file_part, image_part, png, text_part

PNG = png()
TEXT = "# Notes\nGrüße, \u2713\n"
Start = Callable[..., Gateway]


class ImageHost(BaseHTTPRequestHandler):
    """What stands at the URLs of these tests."""

    asked: ClassVar[list[str]] = []
    pages: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {
        "/a.png": (200, {"Content-Type": "image/png"}, PNG),
        "/moved.png": (302, {"Location": "/a.png"}, b""),
        "/away.png": (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
        "/page": (200, {"Content-Type": "text/html"}, b"<html>"),
        "/large.png": (200, {"Content-Type": "image/png"}, PNG + b"x" * 200_000),
    }

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append(self.path)
        status, headers, body = self.pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ImageHost)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module", params=["on", "off"])
def seeing(request: pytest.FixtureRequest, model: Model, host: str) -> Iterator[Gateway]:
    """A server that may fetch from the image host, in both of the CLI's modes."""
    settings = {
        "claude__simple": request.param,
        "media__allow_private_addresses": True,
        "media__fetch_ports": [int(host.rpartition(":")[2])],
        "media__max_bytes": 100_000,
    }
    server = Gateway(model.server.url, settings)
    yield server
    server.stop()


def ask(gateway: Gateway, *parts: Any, history: list[Any] | None = None, **extra: Any) -> httpx.Response:
    messages = [*(history or ()), {"role": "user", "content": list(parts)}]
    return gateway.http.post("/v1/chat/completions", json={"model": "sonnet", "messages": messages, **extra})


def shown(model: Model) -> list[list[Any]]:
    """What the users' messages of the last request held: what is shown as its data, text as it is."""
    found: list[list[Any]] = []
    for message in model.requests[-1]["messages"]:
        if message["role"] == "user":
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            found.append([_plain(block) for block in blocks if "<system-reminder>" not in str(block.get("text"))])
    return found


def _plain(block: dict[str, Any]) -> Any:
    if block["type"] == "text":
        return block["text"]
    source = block["source"]
    return block["type"], source["type"], source["media_type"], source["data"], block.get("title")


IMAGE = ("image", "base64", "image/png", base64_of(PNG), None)
DOCUMENT = ("document", "base64", "application/pdf", base64_of(PDF), "a.pdf")
NOTES = ("document", "text", "text/plain", TEXT, "notes.md")
PARTS = (
    text_part("before"),
    image_part(data_url(PNG)),
    file_part(PDF, "application/pdf", "a.pdf"),
    file_part(TEXT.encode(), "text/markdown", "notes.md"),
    text_part("after"),
)
SENT = ["before", IMAGE, DOCUMENT, NOTES, "after"]


def test_a_live_and_a_resumed_conversation_hold_what_was_shown(seeing: Gateway, model: Model) -> None:
    answer = ask(seeing, *PARTS, conversation_id="shown")
    assert text_of(answer).startswith(f"I see an image (image/png, {len(PNG)} bytes) and a document (a.pdf")
    assert shown(model) == [SENT]
    live = ask(seeing, text_part("and?"), conversation_id="shown")
    assert live.headers["X-Session-Start"] == "live"
    assert shown(model) == [SENT, ["and?"]]
    assert seeing.http.post("/v1/sessions/shown/hibernate").status_code == 200
    resumed = ask(seeing, text_part("still?"), conversation_id="shown")
    assert resumed.headers["X-Session-Start"] == "resumed"
    assert shown(model) == [SENT, ["and?"], ["still?"]]


def test_an_imported_history_holds_what_was_shown(seeing: Gateway, model: Model) -> None:
    history = [{"role": "user", "content": list(PARTS)}, {"role": "assistant", "content": "I see them, all three."}]
    answer = ask(seeing, text_part("next"), history=history)
    assert answer.headers["X-Session-Start"] == "cold"
    assert shown(model) == [SENT, ["next"]]


def test_a_client_without_state_stays_on_its_process_while_its_images_are_the_same(
    seeing: Gateway, model: Model
) -> None:
    first = text_of(ask(seeing, *PARTS))
    history = [{"role": "user", "content": list(PARTS)}, {"role": "assistant", "content": first}]
    again = ask(seeing, text_part("and now?"), history=history)
    assert (again.status_code, again.headers["X-Session-Start"]) == (200, "live")
    said = again.json()["choices"][0]["message"]["content"]
    other = [text_part("before"), image_part(data_url(png(9))), *PARTS[2:]]
    turns = [{"role": "user", "content": other}, *history[1:], {"role": "user", "content": "and now?"}]
    different = ask(seeing, text_part("really?"), history=[*turns, {"role": "assistant", "content": said}])
    assert different.headers["X-Session-Start"] == "cold"
    assert shown(model)[0][1][3] == base64_of(png(9))


def test_an_image_of_a_named_conversation_that_changed_forks_it(seeing: Gateway, model: Model) -> None:
    said = text_of(ask(seeing, image_part(data_url(PNG)), conversation_id="repainted"))
    kept = [{"role": "user", "content": [image_part(data_url(PNG))]}, {"role": "assistant", "content": said}]
    same = ask(seeing, text_part("same"), history=kept, conversation_id="repainted")
    assert same.headers["X-Session-Start"] == "live"
    changed = [{"role": "user", "content": [image_part(data_url(png(9)))]}, {"role": "assistant", "content": said}]
    forked = ask(seeing, text_part("changed"), history=changed, conversation_id="repainted")
    assert forked.headers["X-Session-Start"] == "forked"
    assert shown(model) == [[("image", "base64", "image/png", base64_of(png(9)), None)], ["changed"]]


def test_the_model_is_told_no_path_and_no_image_is_left_outside_the_data(seeing: Gateway, model: Model) -> None:
    text_of(ask(seeing, image_part(data_url(png(11))), text_part("where?"), conversation_id="pathless"))
    said = str(model.requests[-1]["messages"][0])
    assert str(seeing.data_dir) not in said
    assert "source: /" not in said
    temp = Path(psutil.Process(seeing.pid("pathless")).environ()["CLAUDE_CODE_TMPDIR"])
    assert temp.is_relative_to(seeing.data_dir.resolve())
    assert list(temp.rglob("*.png")) == []
    assert seeing.http.delete("/v1/sessions/pathless").status_code == 204
    assert not temp.exists()


def test_an_image_by_url_is_fetched_once_for_some_turns(seeing: Gateway, model: Model, host: str) -> None:
    before = len(ImageHost.asked)
    url = f"{host}/moved.png"
    answer = ask(seeing, text_part("look"), image_part(url, detail="high"))
    assert f"image/png, {len(PNG)} bytes" in text_of(answer)
    assert answer.headers["X-Ignored-Params"] == "messages[].content[].image_url.detail"
    history = [
        {"role": "user", "content": [text_part("look"), image_part(url)]},
        {"role": "assistant", "content": text_of(answer)},
    ]
    again = ask(seeing, text_part("again"), history=history)
    assert again.headers["X-Session-Start"] == "live"
    assert shown(model) == [["look", IMAGE], ["again"]]
    assert ImageHost.asked[before:] == ["/moved.png", "/a.png"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/none.png", "404"),
        ("/away.png", "cannot be fetched"),
        ("/page", "not an image"),
        ("/large.png", "100000 bytes"),
    ],
)
def test_what_cannot_be_fetched_is_a_400_that_says_why(seeing: Gateway, host: str, path: str, why: str) -> None:
    answer = ask(seeing, text_part("look"), image_part(f"{host}{path}"), conversation_id="unseen")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_image_url")
    assert error["param"] == "messages[0].content[1].image_url.url"
    assert why in error["message"]
    assert "169.254" not in error["message"]
    assert seeing.http.get("/v1/sessions/unseen").status_code == 404


def test_by_default_nothing_of_the_machine_is_fetched(gateway: Gateway, host: str) -> None:
    before = len(ImageHost.asked)
    for url in (
        f"{host}/a.png",
        "http://127.0.0.1/a.png",
        "http://localhost/",
        f"{gateway.url}/stats",
        "http://[::1]/",
    ):
        answer = ask(gateway, image_part(url))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_image_url")
    assert len(ImageHost.asked) == before


def test_an_image_that_is_too_large_for_a_history_is_a_400(start_gateway: Start) -> None:
    gateway = start_gateway()
    large = image_part(data_url(PNG + b"x" * 4_000_000))
    history = [{"role": "user", "content": [large]}, {"role": "assistant", "content": "Yes."}]
    answer = ask(gateway, text_part("next"), history=history)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_image")


def test_the_official_client_sends_images_and_files(gateway: Gateway) -> None:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        seen = client.chat.completions.create(
            model="sonnet",
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": data_url(GIF, "image/gif"), "detail": "auto"}},
                        {"type": "image_url", "image_url": {"url": data_url(PNG)}},
                        {"type": "file", "file": {"file_data": data_url(PDF, "application/pdf"), "filename": "a.pdf"}},
                    ],
                }
            ],
        )
        said = seen.choices[0].message.content or ""
        assert "image/gif" in said
        assert "image/png" in said
        assert "a document (a.pdf, application/pdf)" in said
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(
                model="sonnet",
                messages=[
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": data_url(JPEG, "image/png")}}],
                    }
                ],
            )
        assert refused.value.code == "invalid_image"
        assert refused.value.param == "messages[0].content[0].image_url.url"


def test_what_is_wrong_with_a_request_is_told_before_its_images_are_fetched(seeing: Gateway, host: str) -> None:
    parts = [text_part("hi"), image_part(f"{host}/a.png?unasked"), {"type": "input_audio"}]
    answer = seeing.http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": parts}]})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages[0].content[2]"


def test_a_picture_that_would_unfold_is_refused(gateway: Gateway) -> None:
    began = time.monotonic()
    for data in (png(30_000, 1), png()[:20]):
        parts = [image_part(data_url(data)), text_part("hi")]
        answer = gateway.http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": parts}]})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_image")
    assert time.monotonic() - began < 2
