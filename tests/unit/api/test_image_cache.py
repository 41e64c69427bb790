"""What was fetched is remembered for a while, within bounds."""

from __future__ import annotations

from claude_code_api.api.image_cache import ImageCache
from claude_code_api.api.media import Image


def image(size: int) -> Image:
    return Image("image/png", "x" * size)


def test_an_image_is_had_again_until_it_is_stale() -> None:
    now = [0.0]
    cache = ImageCache(now=lambda: now[0], ttl_s=10)
    cache.put("a", image(1))
    now[0] = 9.9
    assert cache.get("a") == image(1)
    now[0] = 10
    assert cache.get("a") is None


def test_the_least_recently_used_makes_room() -> None:
    cache = ImageCache(now=lambda: 0.0, most_bytes=10)
    cache.put("a", image(4))
    cache.put("b", image(4))
    cache.get("a")
    cache.put("c", image(4))
    assert [cache.get(url) is not None for url in "abc"] == [True, False, True]


def test_what_is_replaced_is_not_counted_twice_and_what_is_too_large_is_not_kept() -> None:
    cache = ImageCache(now=lambda: 0.0, most_bytes=12)
    for _ in range(5):
        cache.put("a", image(5))
    cache.put("b", image(5))
    cache.put("c", image(12))
    assert [cache.get(url) is not None for url in "abc"] == [True, True, False]


def test_a_url_counts_as_well() -> None:
    cache = ImageCache(now=lambda: 0.0, most_bytes=100)
    for number in range(9):
        cache.put(f"{number}" * 30, image(1))
    assert sum(cache.get(f"{number}" * 30) is not None for number in range(9)) == 3
