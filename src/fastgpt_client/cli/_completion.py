"""Print what makes a shell complete the command's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_FASTGPT_COMPLETE"


@click.command(short_help="Print a script that makes the shell complete commands and options.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(fastgpt completion bash)"   in ~/.bashrc
    zsh:   fastgpt completion zsh > some folder of $fpath, as _fastgpt
    fish:  fastgpt completion fish > ~/.config/fish/completions/fastgpt.fish
    """  # noqa: D301
    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(ctx.find_root().command, {}, "fastgpt", _VARIABLE).source())
