"""`claude-code-api bench`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from claude_code_api.bench.measure import ModeReport, Report, Stored
    from claude_code_api.bench.run import Plan


def bench(
    runs: Annotated[int, typer.Option(min=1, help="Runs of each side; medians are reported.")] = 9,
    sessions: Annotated[int, typer.Option(min=0, help="Live sessions to compare the memory of; 0 skips it.")] = 20,
    mode: Annotated[
        Literal["lean", "simple", "both"], typer.Option(help="lean is CLAUDE_CODE_SIMPLE off, simple is on.")
    ] = "both",
    warm: Annotated[bool, typer.Option("--warm", help="Measure new conversations that find a spare, too.")] = False,
    hibernate: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Measure how conversations come back, N of them on 20 processes (300 says a lot)."
        ),
    ] = 0,
    stored: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Measure a server with N stored conversations (100000 need 700 MB of disk)."
        ),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Measure what the gateway adds to the raw Claude Code CLI, in time and in memory.

    Needs no network and no credentials: both sides talk to the offline model. Best on a machine that does nothing else.
    --hibernate and --stored measure only what they name; with --warm the usual comparison is made, too.

    Examples: claude-code-api bench --runs 9 --mode simple; claude-code-api bench --hibernate 300
    """
    if hibernate == 1:
        raise typer.BadParameter(
            "one conversation has no other to make room for: 0, or 2 and more", param_hint="--hibernate"
        )
    # Imported here: `serve` must not wait for what only this command needs.
    from claude_code_api.bench.run import Plan
    from claude_code_api.config import load

    modes = ("lean", "simple") if mode == "both" else (mode,)
    plan = Plan(
        runs=runs,
        sessions=sessions,
        warm=warm,
        modes=modes,
        hibernate=hibernate,
        stored=stored,
        command=load().settings.claude.command,
    )
    report = _measure(plan)
    if as_json:
        typer.echo(json.dumps(report.as_json()))
    else:
        _print(report)


def _measure(plan: Plan) -> Report:
    """Carry out the plan and show how far it is. Raises typer.Exit when something that is measured fails."""
    from rich.progress import Progress, TextColumn
    from uvicorn import Config

    from claude_code_api.bench import BenchFailed
    from claude_code_api.bench.run import run

    console = Console(stderr=True)
    # It is drawn when there is something new, before a sample and never during one: a spinner would be measured, too.
    progress = Progress(TextColumn("{task.description}"), console=console, auto_refresh=False, transient=True)
    task = progress.add_task("")
    try:
        # The event loop that the gateway's server picks, so that both sides are driven alike.
        with progress, asyncio.Runner(loop_factory=Config("none").get_loop_factory()) as runner:
            return runner.run(run(plan, lambda what: progress.update(task, description=what, refresh=True)))
    except BenchFailed as error:
        console.print(error.message, style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except asyncio.CancelledError as error:
        raise typer.Exit(143) from error


def _print(report: Report) -> None:
    console = Console()
    for mode in report.modes:
        console.print(_times(mode, report))
        console.print()
        if mode.guide:
            console.print(_guide(mode))
        _warn(console, mode)
        console.print()
    if report.stored is not None:
        console.print(_stored(report.stored))
        _warn(console, report.stored)
        console.print()
    console.print(
        f"{report.cpus} CPUs, load {report.load_before} before and {report.load_after} after, {report.event_loop}, "
        f"gateway {report.version}, {report.command}",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )


def _warn(console: Console, part: ModeReport | Stored) -> None:
    if part.busy_samples:
        console.print(
            f"{part.busy_samples} of {part.samples} samples began on a busy machine: trust the ratios, "
            "not the milliseconds.",
            style="yellow",
        )


def _times(mode: ModeReport, report: Report) -> Table:
    simple = "on" if mode.mode == "simple" else "off"
    title = f"{mode.mode} (CLAUDE_CODE_SIMPLE {simple}), medians of {report.runs} runs"
    table = _table(title, "raw", "gateway", "added", "ratio", "limit")
    for row in mode.rows:
        allowed = f"+{row.allowance_ms or 0:g} ms" if row.max_ratio is None else f"x {row.max_ratio:g}"
        limit = "" if row.met is None else f"{allowed}: {_verdict(row.met)}"
        table.add_row(row.name, *_cells(row.raw_ms, row.gateway_ms, "ms", ".1f"), limit)
    if (memory := mode.memory) is not None:
        table.add_row(
            f"memory of {memory.sessions} ({memory.raw.counted})",
            *_cells(memory.raw.megabytes, memory.gateway.megabytes, "MB", ".0f"),
            f"{memory.limit_mb:.0f} MB: {_verdict(memory.met)}",
        )
    return table


def _cells(raw: float, gateway: float, unit: str, style: str) -> tuple[str, ...]:
    """Both figures, the difference and the ratio."""
    added = gateway - raw
    return f"{raw:{style}} {unit}", f"{gateway:{style}} {unit}", f"{added:+{style}} {unit}", f"{gateway / raw:.2f}"


def _guide(mode: ModeReport) -> Table:
    table = _table("interactive sessions: whole requests", "off", "on")
    for row in mode.guide:
        table.add_row(row.name, f"{row.without_ms:.1f} ms", f"{row.with_ms:.1f} ms")
    return table


def _stored(stored: Stored) -> Table:
    table = _table(f"{stored.conversations} stored conversations, medians", "empty", "stored", "limit")
    for row in stored.rows:
        empty = "" if row.empty_median is None else f"{row.empty_median:.1f} {row.unit}"
        limit = f"{row.limit:.0f} {row.unit}: {_verdict(row.met)}"
        table.add_row(row.name, empty, f"{row.stored_median:.1f} {row.unit}", limit)
    return table


def _table(title: str, *headings: str) -> Table:
    """An empty table that fits 80 columns."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", width=26)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _verdict(met: bool | None) -> str:
    return "[green]met[/green]" if met else "[red]missed[/red]"
