"""Serve the fake FastGPT server on a port."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import click

from ._options import backend_option, debug_option
from ._run import Backend, Interrupts
from ._run import run as run_on
from ._safe import visible

if TYPE_CHECKING:
    from ..testing import FakeFastGPT, Run


@click.command("serve-fake", short_help="Serve a fake FastGPT, to try clients against.")
@click.option("--port", type=click.IntRange(0, 65535), default=3000, show_default=True)
@click.option("--answer", metavar="TEXT", help="Answer everything with this text.")
@click.option(
    "--pause",
    type=click.FloatRange(0, 60),
    default=0.03,
    show_default=True,
    help="Seconds between two pieces of an answer.",
)
@click.option("--key", help="The only API key that is accepted.")
@click.option(
    "--play",
    "server_version",
    metavar="VERSION",
    default="4.16.0",
    show_default=True,
    help="The FastGPT version whose wire is spoken.",
)
@backend_option
@debug_option
def serve_fake(
    port: int,
    answer: str | None,
    pause: float,
    key: str | None,
    server_version: str,
    backend: Backend | None,
) -> int:
    """Serve a fake FastGPT on 127.0.0.1, until Ctrl-C.

    It speaks FastGPT's wire byte for byte, so any client can be tried against it: this one,
    another SDK, curl. What a question contains decides the answer; without --answer it knows
    "markdown", "think", "tool", "choose", "form", "long", "fail", "refuse", "break" and
    "silence", and tells a story otherwise.

    \b
    In one terminal:     fastgpt serve-fake
    In another:          export FASTGPT_API_KEY=fastgpt-test-key
                         fastgpt chat "Show me some markdown"
    """  # noqa: D301
    from ..testing import API_KEY, FakeFastGPT

    try:
        server = FakeFastGPT(server_version=server_version, api_key=key or API_KEY, port=port)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--play") from None

    async def served(interrupts: Interrupts) -> int:
        try:
            return await _serve(server, answer, pause, interrupts)
        except OSError as error:
            raise click.UsageError(
                f"port {port} cannot be used ({error.strerror}): choose another with --port "
                "(0: any that is free)."
            ) from None

    return run_on(served, backend or "asyncio")


async def _serve(
    server: FakeFastGPT, answer: str | None, pause: float, interrupts: Interrupts
) -> int:
    from ._fake_answers import FakeAnswers

    leave = anyio.Event()
    interrupts.on_first = leave.set
    server.script(FakeAnswers(answer, pause, server.server_version))
    version = {"systemVersion": server.server_version}
    server.route("GET", "/api/common/system/getInitData", version, check_key=False)
    server.route("GET", "/api/core/chat/init", {"app": {"name": "A fake app"}})
    async with server, anyio.create_task_group() as tasks:
        click.echo(f"FastGPT {server.server_version}, a fake one, on {server.base_url}")
        click.echo(f"  export FASTGPT_BASE_URL={server.base_url} FASTGPT_API_KEY={server.api_key}")
        click.echo('  fastgpt chat "Tell me a short story"')
        click.echo("Ctrl-C ends it.")
        tasks.start_soon(_report, server)
        await leave.wait()
        tasks.cancel_scope.cancel()
    return 0


async def _report(server: FakeFastGPT) -> None:
    """Write a line for each request, and one for each run that ends."""
    requests = runs = 0
    running: list[tuple[int, Run]] = []

    def news() -> bool:
        return (
            len(server.requests) > requests
            or len(server.runs) > runs
            or any(run.status != "running" for _, run in running)
        )

    while True:
        await server.wait_until(news)
        for request in server.requests[requests:]:
            click.echo(f"{_now()}  {request.method} {visible(request.path)}")
        running += enumerate(server.runs[runs:], runs + 1)
        requests, runs = len(server.requests), len(server.runs)
        for number, run in running:
            if run.status != "running":
                click.echo(f"{_now()}  run {number} ({run.api}): {run.status}")
        running = [(number, run) for number, run in running if run.status == "running"]


def _now() -> str:
    return time.strftime("%H:%M:%S")
