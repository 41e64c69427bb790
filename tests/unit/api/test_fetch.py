"""Images are fetched from the public internet only, whatever a URL, a name or a redirect says."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import httpx2
import pytest

from claude_code_api.api import fetch
from claude_code_api.api.fetch import FetchSettings, ImageFetcher
from claude_code_api.api.media import Image
from claude_code_api.errors import InvalidImageUrl
from tests.images import base64_of, png

SETTINGS = FetchSettings(
    enabled=True, ports=frozenset({80, 443}), private=False, max_bytes=1000, max_total=1500, max_urls=5, timeout_s=5
)
PNG = png()
Answer = Callable[[httpx2.Request], httpx2.Response]


def good(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, headers={"Content-Type": "image/png"}, stream=httpx2.ByteStream(PNG))


class Net:
    """A network of one host per name; it records which addresses were connected to."""

    def __init__(self, answer: Answer = good, hosts: dict[str, list[str]] | None = None) -> None:
        self.requests: list[httpx2.Request] = []
        self.resolved: list[str] = []
        self.hosts = {"pics.example": ["93.184.215.14"], **(hosts or {})}
        self._answer = answer

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.resolved.append(host)
        return self.hosts.get(host, [])

    def connect(self, trust: ssl.SSLContext) -> httpx2.AsyncBaseTransport:
        def handle(request: httpx2.Request) -> httpx2.Response:
            self.requests.append(request)
            return self._answer(request)

        return httpx2.MockTransport(handle)

    def fetcher(self, settings: FetchSettings = SETTINGS) -> ImageFetcher:
        return ImageFetcher(settings, resolve=self.resolve, connect=self.connect)

    async def get(self, url: str, settings: FetchSettings = SETTINGS) -> Image:
        return (await self.fetcher(settings).fetch([("here", url)])).fetched[url]


async def refused(net: Net, url: str, settings: FetchSettings = SETTINGS) -> str:
    with pytest.raises(InvalidImageUrl) as caught:
        await net.get(url, settings)
    assert caught.value.param == "here"
    assert caught.value.message.startswith("here")
    return caught.value.message


async def test_an_image_is_fetched_from_the_address_with_the_names_of_the_url() -> None:
    net = Net()
    image = await net.get("https://pics.example/a.png?size=1")
    assert image == Image("image/png", base64_of(PNG))
    (request,) = net.requests
    assert str(request.url) == "https://93.184.215.14/a.png?size=1"
    assert request.headers["host"] == "pics.example"
    assert request.extensions["sni_hostname"] == "pics.example"
    assert request.headers["accept-encoding"] == "identity"
    assert "cookie" not in request.headers
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    "addresses",
    [
        [],
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["93.184.215.14", "10.0.0.1"],
    ],
)
async def test_a_name_with_any_address_that_is_not_public_is_refused(addresses: list[str]) -> None:
    net = Net(hosts={"inside.example": addresses})
    message = await refused(net, "http://inside.example/a.png")
    assert net.requests == []
    assert not any(address in message for address in addresses)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "0"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[fe80::1]", "169.254.169.254"),
    ],
)
async def test_no_spelling_of_the_server_itself_is_connected_to(host: str) -> None:
    net = Net()
    fetcher = ImageFetcher(SETTINGS, connect=net.connect)  # the machine's own resolver
    with pytest.raises(InvalidImageUrl):
        await fetcher.fetch([("here", f"http://{host}/a.png")])
    assert net.requests == []


async def test_a_name_is_resolved_once_and_its_checked_address_is_used() -> None:
    net = Net()

    async def rebinding(host: str, port: int) -> Sequence[str]:
        net.resolved.append(host)
        return ["93.184.215.14"] if len(net.resolved) == 1 else ["127.0.0.1"]

    fetcher = ImageFetcher(SETTINGS, resolve=rebinding, connect=net.connect)
    await fetcher.fetch([("here", "http://rebind.example/a.png")])
    assert net.resolved == ["rebind.example"]
    assert [request.url.host for request in net.requests] == ["93.184.215.14"]


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1/", "http://inside.example/", "//169.254.169.254/latest/meta-data", "http://[::1]/"),
        *("file:///etc/passwd", "ftp://pics.example/", "gopher://pics.example/", "http://pics.example:22/"),
        *("http://user:pass@pics.example/", "http://pics.example:0/", "http://a b/"),
    ],
)
async def test_each_hop_of_a_redirect_is_checked(location: str) -> None:
    hosts = {"inside.example": ["10.0.0.1"], "127.0.0.1": ["127.0.0.1"], "169.254.169.254": ["169.254.169.254"]}
    net = Net(lambda request: httpx2.Response(302, headers={"Location": location}), {**hosts, "::1": ["::1"]})
    await refused(net, "http://pics.example/a.png")
    assert len(net.requests) == 1


async def test_redirects_are_followed_so_far_and_their_bodies_are_not_read() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000

    def hop(request: httpx2.Request) -> httpx2.Response:
        number = int(request.url.path.strip("/"))
        if number == 0:
            return good(request)
        headers = {"Location": f"/{number - 1}", "Set-Cookie": "a=b"}
        return httpx2.Response(302, headers=headers, content=endless())

    net = Net(hop)
    assert (await net.get("http://pics.example/5")).media_type == "image/png"
    assert {request.url.host for request in net.requests} == {"93.184.215.14"}
    assert len(net.resolved) == 6
    assert "redirects" in await refused(net, "http://pics.example/6")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://pics.example/a.png", "neither"),
        ("file:///etc/passwd", "neither"),
        ("/a.png", "neither"),
        ("", "neither"),
        ("http://user:secret@pics.example/a.png", "password"),
        ("http://pics.example:8080/a.png", "8080"),
        ("http://pics.example:22/a.png", "22"),
        ("http:///a.png", "no host"),
        ("http://exa\tmple.com/", "not a valid URL"),
        ("http://pics.example/\ud83d", "not a valid URL"),
        ("http://[::1/", "not a valid URL"),
        (f"http://pics.example/{'a' * 9000}", "8192"),
        ("http://unknown.example/a.png", "no address"),
    ],
)
async def test_urls_that_are_not_fetched_say_why(url: str, why: str) -> None:
    net = Net()
    message = await refused(net, url)
    assert why in message
    assert "secret" not in message
    assert net.requests == []


def answering(status: int = 200, content: bytes = PNG, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: httpx2.Response(status, headers=named, stream=httpx2.ByteStream(content))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (answering(404), "404"),
        (answering(304), "304"),
        (answering(500), "500"),
        (answering(content_type="text/html"), "not an image"),
        (answering(content_type="image/svg+xml", content=b"<svg/>"), "not a PNG"),
        (answering(content_type="image/png", content=b"GIF"), "not a PNG"),
        (answering(content_type="image/png", content=b""), "not a PNG"),
        (answering(content=PNG + b"x" * 1000), "1000 bytes"),
        (answering(content=gzip.compress(PNG), content_encoding="gzip"), "compressed"),
    ],
)
async def test_answers_that_are_no_image_say_why(answer: Answer, why: str) -> None:
    assert why in await refused(Net(answer), "http://pics.example/a.png")


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "binary/octet-stream", "IMAGE/PNG; a=b"])
async def test_the_bytes_tell_the_type_not_the_host(kind: str) -> None:
    assert (await Net(answering(content_type=kind)).get("http://pics.example/a")).media_type == "image/png"


async def test_no_more_is_read_than_the_limit() -> None:
    sent = []

    async def endless() -> AsyncIterator[bytes]:
        yield PNG
        while True:
            sent.append(1)
            yield b"x" * 100

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": "image/png"}, content=endless())

    assert "1000 bytes" in await refused(Net(answer), "http://pics.example/a.png")
    assert len(sent) < 12


async def test_all_images_of_a_request_share_a_limit() -> None:
    net = Net(answering(content=PNG + b"x" * 800))
    fetcher = net.fetcher()
    with pytest.raises(InvalidImageUrl, match="1500 bytes together"):
        await fetcher.fetch([("a", "http://pics.example/a"), ("b", "http://pics.example/b")])
    for name in "ab":
        await fetcher.fetch([(name, f"http://pics.example/{name}")])
    with pytest.raises(InvalidImageUrl, match="1500 bytes together"):  # remembered ones count as well
        await fetcher.fetch([("a", "http://pics.example/a"), ("b", "http://pics.example/b")])
    for image in ("http://pics.example/a", "http://pics.example/c"):
        with pytest.raises(InvalidImageUrl, match="1500 bytes together"):  # as often as it is named
            await fetcher.fetch([("a", image), ("b", image)])


async def test_the_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(30)
        return []

    fetcher = ImageFetcher(replace(SETTINGS, timeout_s=0.05), resolve=slow, connect=Net().connect)
    urls = [(f"field{number}", f"http://pics.example/{number}") for number in range(5)]
    async with asyncio.timeout(2):
        with pytest.raises(InvalidImageUrl, match=r"0\.05 s") as caught:
            await fetcher.fetch(urls)
    assert caught.value.param == "field0"


async def test_an_image_is_fetched_once_and_remembered() -> None:
    net = Net()
    fetcher = net.fetcher()
    url = "http://pics.example/a.png"
    media = await fetcher.fetch([("a", url), ("b", url)])
    assert await fetcher.fetch([("c", url)]) == media
    assert len(net.requests) == 1


async def test_a_failure_is_not_remembered_and_names_the_first_field() -> None:
    answers = [500, 200, 200]
    net = Net(lambda request: httpx2.Response(answers.pop(0), stream=httpx2.ByteStream(PNG)))
    fetcher = net.fetcher()
    url = "http://pics.example/a.png"
    with pytest.raises(InvalidImageUrl, match="500") as caught:
        await fetcher.fetch([("first", url), ("second", url)])
    assert caught.value.param == "first"
    assert url in (await fetcher.fetch([("first", url)])).fetched


async def test_the_number_of_urls_is_bounded_before_anything_is_fetched() -> None:
    net = Net()
    with pytest.raises(InvalidImageUrl, match="max_urls") as caught:
        await net.fetcher().fetch([(f"input[{number}].x", f"http://pics.example/{number}") for number in range(6)])
    assert caught.value.param == "input"
    assert net.resolved == []


async def test_fetching_can_be_turned_off() -> None:
    net = Net()
    assert "data URL" in await refused(net, "http://pics.example/a.png", replace(SETTINGS, enabled=False))
    assert net.resolved == []


async def test_private_addresses_and_other_ports_can_be_allowed() -> None:
    net = Net(hosts={"inside.example": ["10.0.0.1"]})
    settings = replace(SETTINGS, private=True, ports=frozenset({9000}))
    await net.get("http://inside.example:9000/a.png", settings)
    assert str(net.requests[0].url) == "http://10.0.0.1:9000/a.png"
    assert net.requests[0].headers["host"] == "inside.example:9000"
    await refused(net, "http://inside.example/a.png", settings)


async def test_another_address_is_tried_when_one_does_not_answer() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "2606:4700::1":
            raise httpx2.ConnectError("no route")
        return good(request)

    net = Net(answer, {"both.example": ["2606:4700::1", "93.184.215.14"]})
    await net.get("http://both.example/a.png")
    assert [request.url.host for request in net.requests] == ["2606:4700::1", "93.184.215.14"]
    net.hosts["both.example"] = ["2606:4700::1"]
    message = await refused(net, "http://both.example/b.png")
    assert "connection" in message
    assert "2606" not in message


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    net = Net()
    await net.get("http://pics.example/a.png")
    assert [request.url.host for request in net.requests] == ["93.184.215.14"]
    real = fetch._connect(ssl.create_default_context())
    assert isinstance(real, httpx2.AsyncHTTPTransport)
    assert "Proxy" not in type(real._pool).__name__


async def test_what_one_host_sets_is_not_told_to_the_next() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/there":
            return good(request)
        return httpx2.Response(302, headers=[("Location", "/there"), ("Set-Cookie", "a=b; Path=/")])

    net = Net(answer)
    await net.get("http://pics.example/a.png")
    assert ["cookie" in request.headers for request in net.requests] == [False, False]


async def test_names_that_are_not_answered_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()

    def stuck(*_: object, **__: object) -> list[object]:
        hold.wait(10)
        return []

    monkeypatch.setattr("socket.getaddrinfo", stuck)
    fetcher = ImageFetcher(replace(SETTINGS, timeout_s=0.1), connect=Net().connect)
    try:
        for number in range(20):
            wanted = [("here", f"http://slow{number}-{one}.example/") for one in range(4)]
            with pytest.raises(InvalidImageUrl) as caught:
                await fetcher.fetch(wanted)
            assert caught.value.retry_after is not None
        await asyncio.wait_for(asyncio.to_thread(lambda: None), 1)
    finally:
        hold.set()
        fetcher.close()


async def test_a_tenant_waits_for_its_own_images_only() -> None:
    going, hold = asyncio.Semaphore(0), asyncio.Event()

    async def resolve(host: str, port: int) -> Sequence[str]:
        if host == "slow.example":
            going.release()
            await hold.wait()
        return ["93.184.215.14"]

    fetcher = ImageFetcher(SETTINGS, resolve=resolve, connect=Net().connect)

    def many(request: int) -> list[tuple[str, str]]:
        return [("here", f"http://slow.example/{request}/{one}") for one in range(4)]

    async with asyncio.TaskGroup() as group:
        for request in range(6):
            group.create_task(fetcher.fetch(many(request), "a"))
        for _ in range(16):
            await going.acquire()
        assert (await asyncio.wait_for(fetcher.fetch([("here", "http://pics.example/")], "b"), 2)).fetched
        hold.set()
