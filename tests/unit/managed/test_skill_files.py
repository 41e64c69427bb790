"""What a skill's files may be called, and what its SKILL.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_code_api.errors import InvalidRequest, ResourceNotFound
from claude_code_api.managed.files import Shelf
from claude_code_api.managed.ids import FILE, new_id
from claude_code_api.managed.skills import described, steps_of


@pytest.mark.parametrize("name", ["s/SKILL.md", "s/a/b.py", "my skill/.hidden", "s/été.txt", "s/..a", "s/a@2+b-c_d"])
def test_a_way_below_the_directory_is_taken(name: str) -> None:
    assert "/".join(steps_of(name, "files.0")) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "SKILL.md", "/s/a", "s//a", "s/", "../s/a", "s/../a", "s/./a", "s/..", "./a", "s\\a", "s/a\\..\\b"),
        *("s/a\x00", "s/a\nb", "~/a", "s/$HOME", "s/" + "a" * 260, "s/" + "é" * 130, "/".join("abcdefghijkl"), "C:/a"),
    ],
)
def test_a_way_that_may_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        steps_of(name, "files.3")
    assert error.value.param == "files.3"


@pytest.mark.parametrize(
    ("front", "told"),
    [
        ("name: pirate\ndescription: Arr.", ("pirate", "Arr.")),
        ("description: Arr: with a colon", ("folder", "Arr: with a colon")),
        ("name: \"pirate\"\ndescription: 'It''s'", ("pirate", "It's")),
        ("name: a\ndescription: >-\n  one\n  two\nlicense: MIT", ("a", "one two")),
        ("name: a\ndescription: |\n  one\n  two", ("a", "one\ntwo")),
        ("name: a\ndescription:\n  one\n  two", ("a", "one two")),
        ("metadata:\n  name: inner\nname: a\ndescription: d", ("a", "d")),
        ("name: a\r\ndescription: d\r", ("a", "d")),
    ],
)
def test_front_matter_is_read_as_it_is_written(front: str, told: tuple[str, str]) -> None:
    assert described(f"---\n{front}\n---\nText.\n".encode(), "folder") == told


@pytest.mark.parametrize(
    "manifest",
    [
        *(b"", b"name: a", b"---\nname: a\n", b"\xff\xfe", b"---\nname: A\ndescription: d\n---\n"),
        *(b"---\nname: a--b\ndescription: d\n---", b"---\nname: a\n---\n"),
        b"---\nname: a\ndescription: " + b"x" * 1025 + b"\n---\n",
    ],
)
def test_a_manifest_that_says_too_little_is_refused(manifest: bytes) -> None:
    with pytest.raises(InvalidRequest):
        described(manifest, "Folder")


@pytest.mark.parametrize("file_id", ["", "..", "../x", "file_1", f"file_{'0' * 32}/..", "file_" + "A" * 32, "."])
def test_only_ids_that_the_server_made_have_a_place(tmp_path: Path, file_id: str) -> None:
    with pytest.raises(ResourceNotFound):
        Shelf(tmp_path).path_of("t", file_id)


def test_a_tenant_has_a_place_of_its_own_whatever_it_is_called(tmp_path: Path) -> None:
    shelf, file_id = Shelf(tmp_path), new_id(FILE)
    places = {shelf.path_of(tenant, file_id) for tenant in ("a", "..", "a/b", "")}
    assert len(places) == 4
    assert {path.parent.parent for path in places} == {tmp_path}


def test_a_sweep_leaves_what_is_known_and_what_came_since(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "files")
    known, cut, stray, later = (new_id(FILE) for _ in range(4))
    for file_id in (known, stray):
        shelf.begin("t", file_id).write_bytes(b"x")
        shelf.finish("t", file_id)
    shelf.begin("t", cut).mkdir()
    (shelf.begin("t", cut) / "inside").write_bytes(b"x")
    held = shelf.held()
    shelf.begin("t", later).write_bytes(b"x")
    shelf.sweep(held, {known})
    assert {path.name for path in shelf.held()} == {known, f"{later}.part"}
    shelf.drop("t", later)
    shelf.drop("t", later)
    assert {path.name for path in shelf.held()} == {known}
