"""`claude-code-api bench`: what the gateway adds to the raw Claude Code CLI, in time and in memory.

Both sides are real: raw CLI processes driven over their pipes, and a `serve` process driven over HTTP. They talk to one
offline model, take turns within one run, and start each sample on an idle machine. Nothing here asserts a time.
"""

from __future__ import annotations

from claude_code_api.errors import GatewayError

MODEL = "sonnet"
SYSTEM = "You are a helpful assistant."
FIRST_TEXT = "Hello! Remember the number 42."
FOLLOW_UP_TEXT = "What number did I ask you to remember?"
"""What both sides are told; the guide's own example."""


class BenchFailed(GatewayError):
    """Something that is measured did not start, did not answer, or answered with an error."""

    code = "bench_failed"
