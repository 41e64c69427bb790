"""Files and skills of an agent, in its directories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from claude_code_api.claude.equipment import equip
from claude_code_api.claude.launch import Workplace
from claude_code_api.core.toolbox import PlacedFile, Skill, Toolbox
from claude_code_api.errors import InvalidRequest, StartFailed


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path / "place")
    place.create()
    return place


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(bytes(range(256)) * 5000)
    return path


def files(*paths: str, source: Path) -> Toolbox:
    return Toolbox(files=tuple(PlacedFile(path, str(source)) for path in paths))


def inside(place: Workplace) -> list[str]:
    return sorted(str(path.relative_to(place.work)) for path in place.work.rglob("*") if not path.is_dir())


def test_files_are_copied_whole_and_privately(place: Workplace, source: Path) -> None:
    equip(place, files("a/b/c.bin", "d.bin", source=source))
    assert inside(place) == ["a/b/c.bin", "d.bin"]
    assert (place.work / "a/b/c.bin").read_bytes() == source.read_bytes()
    assert (place.work / "d.bin").stat().st_mode & 0o777 == 0o600
    assert (place.work / "a").stat().st_mode & 0o777 == 0o700


def test_what_is_there_stays(place: Workplace, source: Path) -> None:
    (place.work / "mine").write_text("mine")
    (place.work / "link").symlink_to("nowhere")
    (place.work / "folder").mkdir()
    equip(place, files("mine", "link", "folder", source=source))
    assert (place.work / "mine").read_text() == "mine"
    assert not (place.work / "link").exists()
    assert inside(place) == ["link", "mine"]


@pytest.mark.parametrize("way", ["link", "file", "deep link"])
def test_nothing_is_written_through_a_link(place: Workplace, source: Path, tmp_path: Path, way: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    if way == "file":
        (place.work / "in").write_text("")
    elif way == "link":
        (place.work / "in").symlink_to(outside)
    else:
        (place.work / "in").mkdir()
        (place.work / "in" / "deep").symlink_to(outside)
    with pytest.raises(InvalidRequest) as caught:
        equip(place, files("in/deep/x", source=source))
    assert caught.value.param == "files"
    assert list(outside.iterdir()) == []


def test_a_source_that_is_gone_leaves_nothing(place: Workplace, tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match=r"x\.txt is no longer on the server"):
        equip(place, files("x.txt", source=tmp_path / "gone"))
    assert inside(place) == []


def test_skills_are_laid_out_as_a_plugin_anew_each_time(place: Workplace, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "scripts").mkdir(parents=True)
    (kept / "SKILL.md").write_text("---\nname: tides\n---\n")
    (kept / "scripts" / "run.sh").write_text("true")
    box = Toolbox(skills=(Skill("tides", str(kept)),))
    equip(place, box)
    assert json.loads((place.kit / ".claude-plugin/plugin.json").read_text())["name"] == "skills"
    assert (place.kit / "skills/tides/scripts/run.sh").read_text() == "true"
    (place.kit / ".mcp.json").write_text("{}")
    (place.kit / "skills/tides/SKILL.md").write_text("changed")
    equip(place, box)
    assert not (place.kit / ".mcp.json").exists()
    assert (place.kit / "skills/tides/SKILL.md").read_text().startswith("---")
    equip(place, Toolbox())
    assert not place.kit.exists()


@pytest.mark.parametrize("way", ["link", "broken link", "file"])
def test_what_an_agent_left_in_the_place_of_its_skills_goes(place: Workplace, tmp_path: Path, way: str) -> None:
    kept, outside = tmp_path / "kept", tmp_path / "outside"
    kept.mkdir()
    if way == "file":
        place.kit.write_text("")
    else:
        place.kit.symlink_to(outside)
    if way == "link":
        outside.mkdir()
    equip(place, Toolbox(skills=(Skill("tides", str(kept)),)))
    assert (place.kit / "skills/tides").is_dir()
    assert not place.kit.is_symlink()
    assert not outside.exists() or list(outside.iterdir()) == []


def test_a_skill_that_is_gone_is_named(place: Workplace, tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="The skill tides"):
        equip(place, Toolbox(skills=(Skill("tides", str(tmp_path / "gone")),)))
