"""Commands: `actorium` and what stands below it; each noun has a file of its own.

Not responsible for what a command does. Invariants: nothing heavy is imported before a command runs; every
error a user can make or meet is one line and an exit status, and never a traceback.
"""

from collections.abc import Sequence

import click

from ...bus.value import Json
from .agent import agent
from .answer import Answer, Exit, end, result_status
from .approvals import approvals
from .connection import anywhere, as_json, common, settings_of
from .dlq import dlq
from .doctor import doctor
from .ledger import ledger
from .program import dev, up
from .run import runs
from .schedule import schedule
from .tap import tap
from .task import ask, task
from .workflow import workflow


def _tell_version(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from ..version import installed

        answer: Answer = context.obj
        answer.data({"actorium": installed("actorium")}, f"actorium {installed('actorium')}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_tell_version, help="The version."
)
@anywhere
def actorium() -> None:
    """Durable actors for autonomous agents over NATS.

    Start with `actorium demo`, or with a program of your own and `actorium dev app.py`. Commands reach the
    NATS at --nats, else at NATS_URL, else the embedded server that runs on this machine.

    Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied or over budget, 5 timeout, 130
    interrupted.
    """


@actorium.command(short_help="See it work: no key, no broker.")
@click.option("--keep", is_flag=True, help="Stay up afterwards, until Ctrl-C.")
@common  # the result on stdout is JSON in any case
def demo(answer: Answer, *, keep: bool) -> None:
    """Start a NATS, workers and agents, give them a task, and show what happens.

    That NATS and all that it keeps end with the demo; one that NATS_URL or --nats names keeps its agents.
    """
    from ..demo.show import main as show

    end(result_status(show(settings_of(answer), answer.text, keep=keep)))


@actorium.command(short_help="Versions of actorium, Python and nats-py.")
@as_json
@click.pass_obj
def version(answer: Answer) -> None:
    """Versions of what runs."""
    import platform

    from ..version import installed

    told = {name: installed(name) for name in ("actorium", "nats-py", "msgspec", "uvloop")}
    told["python"] = platform.python_version()
    answer.data(told, "\n".join(f"{name} {number}" for name, number in told.items()))


for group in (agent, task, workflow, approvals, schedule, dlq, ledger, runs):
    actorium.add_command(anywhere(group))
for command in (dev, up, ask, tap, doctor):
    actorium.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit status."""
    answer = Answer(as_json="--json" in arguments)
    try:
        _must_be_text(arguments)
        ended: Json = actorium.main(list(arguments), "actorium", standalone_mode=False, obj=answer)
        return int(ended or Exit.OK)
    except click.exceptions.NoArgsIsHelpError as error:
        if answer.as_json:
            return answer.misused(_guided(click.UsageError("Missing command.", error.ctx)))
        answer.note(error.format_message())
        return Exit.USAGE
    except click.ClickException as error:
        return answer.misused(_guided(error))
    except (KeyboardInterrupt, click.Abort):
        answer.note("interrupted")
        return Exit.INTERRUPTED
    except Exception as error:
        from ...bus.errors import ActoriumError, first_error

        match first_error(error):
            case ActoriumError() as first:
                return answer.failed(first)
            case OSError(errno=int()) as first:
                return answer.refused(first)
            case _:
                raise


def _must_be_text(arguments: Sequence[str]) -> None:
    """Everything that is told to an agent travels as UTF-8, and everything that is told to us may be."""
    for argument in arguments:
        if not argument.isascii():
            try:
                argument.encode()
            except UnicodeEncodeError as error:
                raise click.UsageError(f"{argument!r} is no text in UTF-8") from error


def _guided(error: click.ClickException) -> str:
    """The mistake in one line, with the command whose help tells more."""
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} ({context.command_path} --help)" if context else message
