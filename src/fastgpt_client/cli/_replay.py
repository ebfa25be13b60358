"""Play a recorded answer again, with its timing."""

from __future__ import annotations

from pathlib import Path

import click

from .._client import AsyncChatClient
from .._limits import Timeouts
from ..testing._recording import Recording, RecordingError
from . import _outcome
from ._forms import Form, Showing, form_options
from ._message import Question
from ._options import backend_option, debug_option
from ._run import Backend, Interrupts, run
from ._turn import Asking, Turn

#: The fake server has no model to wait for, and a recording may have been slow.
_PATIENT = Timeouts(first_token=None, idle=None, silence=None)


@click.command(epilog=_outcome.EXIT_CODES, short_help="Play a recorded answer, with its timing.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--speed",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="How many times as fast; inf for no waiting.",
)
@form_options
@backend_option
@debug_option
def replay(
    file: Path, speed: float, form: Form | None, reasoning: bool, backend: Backend | None
) -> int:
    """Play FILE, which `fastgpt record` wrote, as if the server answered now.

    The embedded server sends the recorded bytes in their pieces, and everything from the network
    on is what `fastgpt chat` does: the same decoder, the same consumers, the same failures and
    exit codes.

    \b
    fastgpt replay answer.jsonl
    fastgpt replay --speed 10 --backend trio answer.jsonl
    fastgpt replay --speed inf --jsonl answer.jsonl
    """  # noqa: D301
    try:
        recording = Recording.load(file)
    except RecordingError as error:
        raise click.UsageError(f"{file}: {error}.") from None
    showing = Showing.of(form, reasoning)

    async def replayed(interrupts: Interrupts) -> Turn:
        return await _replay(recording, speed, showing, interrupts)

    turn = run(replayed, backend or "asyncio")
    if turn.failure is not None:
        click.echo(_outcome.explain(turn.failure), err=True)
    return turn.exit_code


async def _replay(
    recording: Recording, speed: float, showing: Showing, interrupts: Interrupts
) -> Turn:
    from ..testing import FakeFastGPT

    async with (
        FakeFastGPT(heartbeat_every=None) as server,
        AsyncChatClient(server.api_key, server.base_url, timeouts=_PATIENT) as client,
    ):
        server.script(recording.script(speed=speed))
        asking = Asking(client, Question("replay"), showing.view(), interrupts, "replay")
        return await asking.run()
