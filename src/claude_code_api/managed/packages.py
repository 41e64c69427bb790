"""Which packages this machine has: what an environment asks for is looked for, never installed.

A package's name comes from the network, so it is no part of any command: everything that is installed is listed, and
the name is looked up in that. Must be called beside the event loop: a list takes up to a second.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from claude_code_api.errors import InvalidRequest

MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")

Installed: TypeAlias = Mapping[str, frozenset[str]]
"""The versions of each package; none of them known when there are none."""

_PATIENCE_S = 20
_MOST_PACKAGES = 100
_PIP = (
    "import importlib.metadata as m, json; "
    "print(json.dumps([[d.metadata['Name'], d.version] for d in m.distributions()]))"
)


class _Manager(NamedTuple):
    """`parts` has a package's name in its first group, and in its second one the version, or None."""

    parts: re.Pattern[str]
    listed: Callable[[], Iterator[tuple[str, str]]]
    example: str


def check_packages(packages: Mapping[str, Sequence[str]], where: str = "config.packages") -> None:
    """Raise InvalidRequest naming the first package that this machine does not have."""
    for name, manager in _MANAGERS.items():
        wanted = packages.get(name) or ()
        if len(wanted) > _MOST_PACKAGES:
            raise InvalidRequest(f"{where}.{name}: at most {_MOST_PACKAGES} are taken.", param=f"{where}.{name}")
        asked = [_parted(manager, package, f"{where}.{name}.{index}") for index, package in enumerate(wanted)]
        installed = _installed(name, manager) if asked else {}
        for index, (package, version) in enumerate(asked):
            at = f"{where}.{name}.{index}"
            versions = installed.get(_folded(name, package))
            if versions is None:
                raise InvalidRequest(
                    f"{at}: the server does not have the {name} package {package!r}, and installs nothing by itself. "
                    "Install it on the server, or leave it out.",
                    param=at,
                )
            if version is not None and version not in versions:
                has = f"has version {', '.join(sorted(versions))}" if versions else "cannot tell which version it has"
                raise InvalidRequest(
                    f"{at}: of the {name} package {package!r} the server {has}, not {version!r}.", param=at
                )


def _parted(manager: _Manager, package: str, where: str) -> tuple[str, str | None]:
    found = manager.parts.fullmatch(package)
    if found is None:
        raise InvalidRequest(
            f"{where}: {package[:100]!r} is no package's name, alone or with one version, such as {manager.example!r}.",
            param=where,
        )
    return found[1], found[2]


def _installed(name: str, manager: _Manager) -> Installed:
    found: dict[str, set[str]] = {}
    for package, version in manager.listed():
        found.setdefault(_folded(name, package), set()).update({version} - {""})
    return {package: frozenset(versions) for package, versions in found.items()}


def _folded(manager: str, package: str) -> str:
    """Names that pip takes for the same one are the same one."""
    return re.sub(r"[-_.]+", "-", package).lower() if manager == "pip" else package


def _apt() -> Iterator[tuple[str, str]]:
    for line in _told("dpkg-query", "-W", "-f=${db:Status-Status}\t${Package}\t${Version}\n").splitlines():
        status, _, rest = line.partition("\t")
        if status == "installed":
            package, _, version = rest.partition("\t")
            yield package, version


def _pip() -> Iterator[tuple[str, str]]:
    """What the `python3` has that agents find."""
    listed: list[tuple[str, str]] = json.loads(_told("python3", "-c", _PIP) or "[]")
    yield from listed


def _npm() -> Iterator[tuple[str, str]]:
    listed = json.loads(_told("npm", "ls", "--global", "--json", "--depth=0") or "{}")
    for name, package in listed.get("dependencies", {}).items():
        yield name, package.get("version", "")


def _cargo() -> Iterator[tuple[str, str]]:
    for found in re.finditer(r"^(\S+) v([^\s:]+)", _told("cargo", "install", "--list"), re.M):
        yield found[1], found[2]


def _gem() -> Iterator[tuple[str, str]]:
    for found in re.finditer(r"^(\S+) \((.*)\)$", _told("gem", "list", "--local"), re.M):
        for version in found[2].split(", "):
            yield found[1], version.removeprefix("default: ")


def _go() -> Iterator[tuple[str, str]]:
    """A package leaves nothing behind but its command, which goes by the last part of the package's name."""
    places = [*os.get_exec_path(), str(Path(os.environ.get("GOPATH") or Path.home() / "go") / "bin")]
    for place in places:
        directory = Path(place)
        if directory.is_dir():
            for command in directory.iterdir():
                yield command.name, ""


def _told(program: str, *arguments: str) -> str:
    """What a program prints; nothing when there is no such program, or it does not end."""
    executable = shutil.which(program)
    if executable is None:
        return ""
    try:
        done = subprocess.run(
            [executable, *arguments], capture_output=True, text=True, timeout=_PATIENCE_S, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


_NAMES: Mapping[str, str] = {
    "apt": r"([a-z0-9][a-z0-9+.-]*)(?:=(\S+))?",
    "cargo": r"([A-Za-z0-9_-]+)(?:@(\S+))?",
    "gem": r"([A-Za-z0-9_.-]+)(?::(\S+))?",
    "go": r"(?:[^\s@]+/)?(?!v\d+(?:@|$))([\w.-]+)(?:/v\d+)?(?:@(?!latest$)(\S+)|@latest)?",
    "npm": r"((?:@[^\s@/]+/)?[^\s@/]+)(?:@(?!latest$)(\S+)|@latest)?",
    "pip": r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[A-Za-z0-9,._-]*\])?(?:==(\S+))?",
}

_MANAGERS: Mapping[str, _Manager] = {
    "apt": _Manager(re.compile(_NAMES["apt"]), _apt, "ripgrep=14.1.0-1"),
    "cargo": _Manager(re.compile(_NAMES["cargo"]), _cargo, "ripgrep@14.1.0"),
    "gem": _Manager(re.compile(_NAMES["gem"]), _gem, "rake:13.2.1"),
    "go": _Manager(re.compile(_NAMES["go"]), _go, "golang.org/x/tools/gopls@latest"),
    "npm": _Manager(re.compile(_NAMES["npm"]), _npm, "prettier@3.4.2"),
    "pip": _Manager(re.compile(_NAMES["pip"]), _pip, "numpy==2.1.0"),
}
