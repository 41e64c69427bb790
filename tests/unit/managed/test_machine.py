"""What an environment expects of this machine is looked for, and never part of a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from claude_code_api.errors import InvalidRequest, NotSupported
from claude_code_api.managed import environments
from claude_code_api.managed.packages import MANAGERS, check_packages

PROGRAMS = {
    "dpkg-query": r"installed\tripgrep\t14.1.0-1\nnot-installed\tgone\t1\n",
    "python3": r'[["Num_Py", "2.1.0"]]',
    "npm": r'{"dependencies": {"prettier": {"version": "3.4.2"}, "@scope/tool": {"version": "1.0.0"}}}',
    "cargo": r"fd-find v10.2.0:\n    fd\n",
    "gem": r"rake (13.2.1, 13.0.6)\njson (default: 2.9.1)\n",
    "gopls": "",
}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a few packages, whose programs note what they were called with."""
    for name, told in PROGRAMS.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nprintf '%s ' \"$@\" >> {tmp_path}/calls\nprintf '{told}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GOPATH", str(tmp_path / "go"))
    return tmp_path


@pytest.mark.parametrize(
    ("manager", "package"),
    [
        *(("apt", "ripgrep"), ("apt", "ripgrep=14.1.0-1")),
        *(("pip", "num-py"), ("pip", "Num.Py==2.1.0"), ("pip", "numpy[extra]".replace("numpy", "num_py"))),
        *(("npm", "prettier"), ("npm", "prettier@3.4.2"), ("npm", "prettier@latest"), ("npm", "@scope/tool@1.0.0")),
        *(("cargo", "fd-find"), ("cargo", "fd-find@10.2.0")),
        *(("gem", "rake:13.0.6"), ("gem", "json:2.9.1")),
        *(("go", "golang.org/x/tools/gopls@latest"), ("go", "golang.org/x/tools/gopls"), ("go", "x.org/gopls/v2")),
    ],
)
def test_what_is_here_is_taken(manager: str, package: str) -> None:
    check_packages({manager: [package]})


@pytest.mark.parametrize(
    ("manager", "package", "words"),
    [
        ("apt", "gone", "does not have the apt package 'gone'"),
        ("apt", "ripgrep=1", "has version 14.1.0-1, not '1'"),
        ("pip", "pandas", "does not have the pip package 'pandas'"),
        ("pip", "num-py>=2", "is no package's name"),
        ("npm", "left-pad", "does not have the npm package"),
        ("gem", "rake:1", "has version 13.0.6, 13.2.1, not '1'"),
        ("go", "x.org/gopls@v1.2.3", "cannot tell which version"),
        ("go", "x.org/other", "does not have the go package 'other'"),
        ("cargo", "$(reboot)", "is no package's name"),
    ],
)
def test_what_is_not_here_is_named(manager: str, package: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(words)) as error:
        check_packages({"pip": ["num-py"], manager: [package]})
    assert error.value.param == f"config.packages.{manager}.0"


def test_no_name_reaches_a_command(machine: Path) -> None:
    for manager in MANAGERS:
        with pytest.raises(InvalidRequest):
            check_packages({manager: ["canary"]})
    assert "canary" not in (machine / "calls").read_text()


def test_a_program_that_is_not_there_has_no_packages(machine: Path) -> None:
    (machine / "npm").unlink()
    with pytest.raises(InvalidRequest, match="does not have the npm package"):
        check_packages({"npm": ["prettier"]})


def test_an_update_leaves_what_it_does_not_name() -> None:
    first = environments.made({"name": "E", "config": {"type": "cloud", "packages": {"pip": ["a"]}}}, 1.0)
    assert first.config["packages"]["pip"] == ["a"]
    second = environments.changed(first, {"config": {"type": "cloud", "packages": {"npm": ["b"], "pip": None}}}, 2.0)
    assert (second.config["packages"]["pip"], second.config["packages"]["npm"]) == (["a"], ["b"])
    assert (second.name, second.created_at, second.updated_at) == ("E", 1.0, 2.0)
    assert environments.changed(second, {"config": None, "name": None}, 3.0) is second
    assert environments.CLOUD["packages"]["npm"] == []
    with pytest.raises(NotSupported):
        environments.changed(second, {"config": {"type": "self_hosted"}}, 3.0)
