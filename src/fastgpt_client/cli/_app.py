"""Put the commands together and see to it that none ends in a traceback."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from . import _notices, _outcome
from ._chat import chat
from ._completion import completion
from ._demo import demo
from ._doctor import doctor
from ._record import record
from ._replay import replay
from ._run import InterruptError
from ._serve_fake import serve_fake


class _Program(click.Group):
    """A group that turns every ending into an exit code and at most a few lines."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        arguments = sys.argv[1:] if args is None else list(args)
        debug = "--debug" in arguments
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal that lacks a character shows a substitute, not a traceback.
                stream.reconfigure(errors="replace")
        with _notices.taken(debug=debug):
            code = self._run(arguments, prog_name or "fastgpt", debug=debug, **extra)
        sys.exit(code)

    def _run(self, arguments: list[str], prog_name: str, *, debug: bool, **extra: Any) -> int:
        try:
            result = super().main(arguments, prog_name, **{**extra, "standalone_mode": False})
            return result if isinstance(result, int) else 0
        except click.ClickException as error:
            click.echo(_outcome.explain_usage(error), err=True)
            return error.exit_code
        except InterruptError as error:
            return error.exit_code
        except (KeyboardInterrupt, click.Abort):
            return _outcome.CTRL_C
        except Exception as error:
            if debug:
                raise
            click.echo(_outcome.explain(error), err=True)
            return _outcome.exit_code(error)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Here and not in main(), where click has an exit code of its own for it.
            _forget_stdout()
            return _outcome.READER_GONE
        return result


def _forget_stdout() -> None:
    """Let what is still buffered go nowhere, or the interpreter complains about it at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@click.group(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,  # so that the bare command helps, and is no mistake
)
@click.version_option(package_name="fastgpt-client", prog_name="fastgpt")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def fastgpt(ctx: click.Context, debug: bool) -> None:
    """Talk to FastGPT from a terminal.

    \b
    See it work, without a server or a key:
      fastgpt demo
    \b
    Try everything against a fake server, in another terminal:
      fastgpt serve-fake
    \b
    Ask a server of yours; `fastgpt doctor` finds out why it does not answer:
      export FASTGPT_API_KEY=fastgpt-...  FASTGPT_BASE_URL=https://fastgpt.example.com
      fastgpt chat "Tell me a short story"
    """  # noqa: D301
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _command in (demo, chat, completion, doctor, record, replay, serve_fake):
    fastgpt.add_command(_command)
