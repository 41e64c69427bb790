"""Claude Code as a service: live Claude Code sessions behind the APIs that programs already speak."""

from importlib.metadata import version

__version__ = version("claude-code-api")
