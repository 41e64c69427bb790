"""The command line: thin commands over the library."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from claude_code_api import __version__
from claude_code_api.cli import bench, config, db, keys, serve
from claude_code_api.errors import ConfigError

app = typer.Typer(
    help="Claude Code as a service: live Claude Code sessions behind OpenAI-compatible APIs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("config")(config.show)
app.command("bench")(bench.bench)
app.add_typer(db.app, name="db")
app.add_typer(keys.app, name="keys")


@app.command("version")
def version() -> None:
    """Print the version."""
    Console().print(__version__, highlight=False)


def main() -> None:
    """Run the command line; what the user has to mend is printed without a traceback."""
    try:
        app()
    except ConfigError as error:
        Console(stderr=True).print(error.message, style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
