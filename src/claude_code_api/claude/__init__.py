"""The Claude Code CLI adapter: the only room that knows its flags, its environment and its frames."""
