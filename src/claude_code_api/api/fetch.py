"""Fetches the images that requests name by URL, and from nowhere but the public internet.

Each hop of a redirect is checked anew: its host is resolved once, every address of it must be allowed, and the
connection goes to one of those, so that a name which changes its mind reaches nothing. What an address was is not told.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import httpx2

from claude_code_api import __version__
from claude_code_api.api.addresses import may_connect
from claude_code_api.api.image_cache import ImageCache
from claude_code_api.api.media import Image, Media, image_type, picture_problem
from claude_code_api.errors import InvalidImageUrl

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host; `[]` when there are none."""

Connect = Callable[[ssl.SSLContext], httpx2.AsyncBaseTransport]
"""What carries the requests of one fetch to the address in their URL."""

_HEADERS = {
    "User-Agent": f"claude-code-api/{__version__}",
    "Accept": "image/png, image/jpeg, image/gif, image/webp",
    "Accept-Encoding": "identity",  # a compressed answer could be of any size
}
_OCTETS = ("", "application/octet-stream", "binary/octet-stream")
_MOST_HOPS, _CONNECT_S, _LONGEST_URL, _RETRY_S = 5, 5.0, 8192, 5.0
_AT_ONCE, _AT_ONCE_OF_A_REQUEST, _LOOKUPS_AT_ONCE = 16, 4, 32

_Gates = tuple[asyncio.Semaphore, asyncio.Semaphore]
"""Of a request, and of its tenant."""


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """What may be fetched. `max_bytes` bounds one image, `max_total` all of a request, repeated ones too."""

    enabled: bool
    ports: frozenset[int]
    private: bool
    max_bytes: int
    max_total: int
    max_urls: int
    timeout_s: float


class ImageFetcher:
    """Fetches images, and remembers them for some minutes: clients without state send their URLs in each turn."""

    def __init__(
        self, settings: FetchSettings, *, resolve: Resolve | None = None, connect: Connect | None = None
    ) -> None:
        self._settings = settings
        self._resolve = resolve or self._look_up
        self._connect = connect or _connect
        self._cache = ImageCache(now=time.monotonic)
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._resolving = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="resolve")
        self._trust: ssl.SSLContext | None = None

    @property
    def max_total(self) -> int:
        """Bytes that all which a request fetches may have together, and all the files that it names."""
        return self._settings.max_total

    @property
    def awaited(self) -> Media:
        """What stands for a request's images until they are fetched."""
        return Media(self._settings.max_bytes, awaited=True)

    async def fetch(self, wanted: Sequence[tuple[str, str]], tenant: str = "") -> Media:
        """Get the images of one request, given as (field, URL). A tenant waits for its own other fetches only.

        Raises InvalidImageUrl naming the first field at fault.

        When it is cancelled, so is what it fetches.
        """
        where: dict[str, str] = {}
        times = Counter(url for _, url in wanted)
        for at, url in wanted:
            where.setdefault(url, at)
            self._check(url, at)
        if len(where) > self._settings.max_urls:
            raise InvalidImageUrl(
                f"{len(where)} URLs are more than the {self._settings.max_urls} that are fetched for a request "
                "([media] max_urls); send images as data URLs.",
                param=wanted[0][0].partition("[")[0],
            )
        budget = _Budget(self._settings.max_total)
        gates = asyncio.Semaphore(_AT_ONCE_OF_A_REQUEST), self._gates.setdefault(tenant, asyncio.Semaphore(_AT_ONCE))
        until = asyncio.get_running_loop().time() + self._settings.timeout_s
        answers = await asyncio.gather(*(self._one(url, times[url], budget, gates, until) for url in where))
        fetched = {}
        for (url, at), answer in zip(where.items(), answers, strict=True):
            if isinstance(answer, _Unfetchable):
                raise InvalidImageUrl(f"{at} cannot be fetched: {answer}", param=at, retry_after=answer.retry_after)
            fetched[url] = answer
        return Media(self._settings.max_bytes, fetched)

    def _check(self, url: str, at: str) -> None:
        if url[:7].lower() != "http://" and url[:8].lower() != "https://":
            raise InvalidImageUrl(f"{at} is neither a data URL nor an http or https URL.", param=at)
        if not self._settings.enabled:
            raise InvalidImageUrl(
                f"{at}: this server fetches no images ([media] fetch_urls); send it as a data URL.", param=at
            )
        if len(url) > _LONGEST_URL:
            raise InvalidImageUrl(f"{at} has more than {_LONGEST_URL} characters.", param=at)

    async def _one(self, url: str, times: int, budget: _Budget, gates: _Gates, until: float) -> Image | _Unfetchable:
        try:
            if (known := self._cache.get(url)) is not None:
                budget.take(len(known.data) // 4 * 3 * times)
                return known
            async with asyncio.timeout_at(until), gates[0], gates[1]:
                image = await self._get(url, budget)
            budget.take(len(image.data) // 4 * 3 * (times - 1))
        except TimeoutError:
            return _Unfetchable(
                f"it took longer than {self._settings.timeout_s:g} s ([media] timeout_seconds).", retry_after=_RETRY_S
            )
        except _Unfetchable as error:
            return error
        self._cache.put(url, image)
        return image

    async def _get(self, url: str, budget: _Budget) -> Image:
        transport = _Guarded(self._settings, self._resolve, self._connect(await self._ssl()))
        timeout = httpx2.Timeout(self._settings.timeout_s, connect=_CONNECT_S)
        async with httpx2.AsyncClient(
            transport=transport, trust_env=False, timeout=timeout, headers=_HEADERS, follow_redirects=False
        ) as client:
            try:
                request = client.build_request("GET", url)
                for _ in range(_MOST_HOPS + 1):
                    response = await client.send(request, stream=True)
                    try:
                        if response.next_request is None:
                            return await self._read(response, budget)
                    finally:
                        await response.aclose()
                    request = response.next_request
                    client.cookies.clear()  # what one host sets is nothing to the next
                    request.headers.pop("cookie", None)
            except (httpx2.InvalidURL, UnicodeError) as error:
                raise _Unfetchable("it is not a valid URL.") from error
            except httpx2.TimeoutException as error:
                raise _Unfetchable("its host does not answer.", retry_after=_RETRY_S) from error
            except httpx2.RequestError as error:
                raise _Unfetchable("the connection to its host failed.", retry_after=_RETRY_S) from error
        raise _Unfetchable(f"it redirects more than {_MOST_HOPS} times.")

    async def _read(self, response: httpx2.Response, budget: _Budget) -> Image:
        if response.status_code != 200:
            raise _Unfetchable(f"its host answered {response.status_code}.")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not (kind.startswith("image/") or kind in _OCTETS):
            raise _Unfetchable("what is there is not an image.")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _Unfetchable("its host sends it compressed.")
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            budget.take(len(chunk))
            if len(data) > self._settings.max_bytes:
                raise _Unfetchable(f"it has more than {self._settings.max_bytes} bytes ([media] max_bytes).")
        found = image_type(bytes(data[:16]))
        if found is None:
            raise _Unfetchable("what is there is not a PNG, JPEG, GIF or WebP image.")
        if (problem := picture_problem(bytes(data), found)) is not None:
            raise _Unfetchable(f"the image there {problem}")
        return Image(found, base64.b64encode(data).decode("ascii"))

    async def _look_up(self, host: str, port: int) -> list[str]:
        """In threads of its own: a name server that does not answer must hold up nothing but images."""
        return await asyncio.get_running_loop().run_in_executor(self._resolving, _resolve, host, port)

    def close(self) -> None:
        """Look nothing up any more."""
        self._resolving.shutdown(wait=False, cancel_futures=True)

    async def _ssl(self) -> ssl.SSLContext:
        if self._trust is None:
            self._trust = await asyncio.to_thread(httpx2.create_ssl_context)
        return self._trust


class _Unfetchable(Exception):
    """Why an image cannot be had, as the end of a sentence, and when it may be had."""

    def __init__(self, why: str, *, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


@dataclass(slots=True)
class _Budget:
    left: int
    most: int = field(init=False)

    def __post_init__(self) -> None:
        self.most = self.left

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _Unfetchable(f"the request's images have more than {self.most} bytes together.")


class _Guarded(httpx2.AsyncBaseTransport):
    """Sends a request to an address that was checked; its Host and TLS name stay those of the URL."""

    def __init__(self, settings: FetchSettings, resolve: Resolve, inner: httpx2.AsyncBaseTransport) -> None:
        self._settings = settings
        self._resolve = resolve
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Check, connect, send. Raises _Unfetchable, or what the connection raises."""
        addresses = await self._allowed(request.url)
        extensions = {**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")}
        failed: httpx2.TransportError | None = None
        for address in addresses:
            url = request.url.copy_with(host=address)
            there = httpx2.Request(request.method, url, headers=request.headers, extensions=extensions)
            try:
                return await self._inner.handle_async_request(there)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failed = error
        assert failed is not None
        raise failed

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()

    async def _allowed(self, url: httpx2.URL) -> list[str]:
        if not url.host:
            raise _Unfetchable("it names no host.")
        if url.scheme not in ("http", "https"):
            raise _Unfetchable("it leads to something other than http or https.")
        if url.userinfo:
            raise _Unfetchable("it carries a user name or password.")
        port = url.port if url.port is not None else 443 if url.scheme == "https" else 80
        if port not in self._settings.ports:
            raise _Unfetchable(f"the port {port} is not allowed ([media] fetch_ports).")
        host = url.raw_host.decode("ascii")
        addresses = list(dict.fromkeys(await self._resolve(host, port)))
        private = self._settings.private
        if not addresses or not all(may_connect(address, private=private) for address in addresses):
            raise _Unfetchable("its host has no address, or one that is not public ([media] allow_private_addresses).")
        return addresses


def _connect(trust: ssl.SSLContext) -> httpx2.AsyncBaseTransport:
    """Nothing is kept alive: a connection belongs to an address here, and hosts share those."""
    return httpx2.AsyncHTTPTransport(verify=trust, trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0))


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in found]
