"""The images that were fetched in the last minutes, by URL; the least recently used make room. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from claude_code_api.api.media import Image

_MOST_BYTES = 64 * 2**20
_TTL_S = 300.0


class ImageCache:
    """Keeps at most `most_bytes` of base64 and URLs, each image for `ttl_s` since it was fetched."""

    def __init__(self, *, now: Callable[[], float], most_bytes: int = _MOST_BYTES, ttl_s: float = _TTL_S) -> None:
        self._now = now
        self._most = most_bytes
        self._ttl = ttl_s
        self._kept: OrderedDict[str, tuple[float, Image]] = OrderedDict()
        self._size = 0

    def get(self, url: str) -> Image | None:
        """The image of a URL, while it is fresh."""
        self._drop_stale()
        found = self._kept.get(url)
        if found is None:
            return None
        self._kept.move_to_end(url)
        return found[1]

    def put(self, url: str, image: Image) -> None:
        """Keep an image; one that is larger than the whole cache is not kept."""
        self._remove(url)
        if _size(url, image) > self._most:
            return
        self._kept[url] = (self._now() + self._ttl, image)
        self._size += _size(url, image)
        while self._size > self._most:
            self._remove(next(iter(self._kept)))

    def _drop_stale(self) -> None:
        now = self._now()
        for url in [url for url, (until, _) in self._kept.items() if until <= now]:
            self._remove(url)

    def _remove(self, url: str) -> None:
        if (found := self._kept.pop(url, None)) is not None:
            self._size -= _size(url, found[1])


def _size(url: str, image: Image) -> int:
    return len(url) + len(image.data)
