"""What a mistake on the command line looks like; nothing here needs a server."""

import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from actorium.actors.runs import approvals  # noqa: F401  # its errors are looked for
from actorium.actors.runs.record import Why
from actorium.bus.errors import ActoriumError, Failure
from actorium.bus.task import Result, Status
from actorium.runtime.cli import answer as cli_answer
from actorium.runtime.cli import task as cli_task
from actorium.runtime.cli.answer import Answer, Exit, exit_status, result_status
from actorium.runtime.workflow_repeat import OtherRun
from actorium.storage import errors  # noqa: F401
from cli.terminal import Terminal, one_line

HEAVY = "asyncio nats uvloop msgspec anthropic mcp qdrant_client opentelemetry aiodocker"


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    """`actorium --help` is quick: what a command needs is imported when it runs."""
    code = (
        "import sys\nfrom actorium.runtime.cli.commands import run\nstatus = run(['--help'])\n"
        f"print('loaded', [n for n in {HEAVY.split()!r} if n in sys.modules], status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.endswith("loaded [] 0\n")
    for name in ("dev", "up", "doctor", "agent", "task", "ask", "tap", "dlq", "ledger", "demo", "version"):
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "hint"),
    [
        (["aks"], 2, "'ask'"),
        (["agent", "lst"], 2, "'ls'"),
        (["ask", "echo", "hi", "--timeuot", "3"], 2, "'--timeout'"),
        (["dev", "ap.py"], 2, "did you mean app.py?"),
        (["dev", "app.py", "--config", "none.toml"], 2, "none.toml"),
        (["dev", "app.py:ap"], 2, "'app'"),
        (["dev", "tasks.json"], 2, "tasks.json is no program"),
        (["dev", "app.py", "--drain", "nan"], 2, "no number of seconds"),
        (["dev", "app.py", "--drain", "-1"], 2, "--drain"),
        (["task", "send", "echo", "x", "--task-id", ""], 2, "--task-id is empty"),
        (["task", "send", "echo", "x", "--task-id", "order 17"], 2, "id 'order 17' must be"),
        (["workflow", "run", "flow", "--run-id", "ü"], 2, "id 'ü' must be"),
        (["task", "send", "echo", "--json-file", "-"], 2, "stdin is no JSON"),
        (["dev", "app.py", "--lease", "1000"], 2, "lease must be"),
        (["ask", "echo"], 2, "--json-file"),
        (["ask", "echo", "--json-file", "none.json"], 2, "none.json"),
        (["agent", "spawn", "Bad.Name", "app:Echo"], 2, "Bad.Name"),
        (["agent", "spawn", "good", "Echo"], 2, "module:Class"),
        (["agent", "spawn", "good", "app:Echo", "--config-json", "[1]"], 2, "--config-json"),
        (["dlq", "drop"], 2, "--all"),
        (["dlq", "drop", "7", "--agent", "echo"], 2, "--all"),
        (["dlq", "ls", "--agent", "Bad.Name"], 2, "agent id 'Bad.Name' must be"),
        (["agent", "show", "Bad_Name"], 2, "agent id 'Bad_Name' must be"),
        (["agent", "status", "*"], 2, "agent id '*' must be"),
        (["agent", "restart", "Bad Name"], 2, "agent id 'Bad Name' must be"),
        (["agent", "stop", "status"], 2, "reserved"),
        (["task", "send", "Bad_Name", "x"], 2, "agent id 'Bad_Name' must be"),
        (["ask", ">", "x"], 2, "agent id '>' must be"),
        (["tap", "Bad_Name"], 2, "agent id 'Bad_Name' must be"),
        (["ledger", "verify", "echo", "--checkpoint", "7"], 2, "COUNT:HEAD"),
        (["up", "app.py"], 1, "NATS_URL"),
        (["agent", "ls", "--nats", "nowhere://x"], 1, "nowhere://x"),
        (["agent", "--nats", "nowhere://x", "ls"], 1, "nowhere://x"),
        (["--nats", "nowhere://x", "agent", "ls"], 1, "nowhere://x"),
        (["--nats", "nowhere://y", "agent", "ls", "--nats", "nowhere://x"], 1, "nowhere://x"),
        (["--nats", "nowhere://x", "demo"], 1, "nowhere://x"),
        (["agent", "ls"], 1, "actorium dev"),
        (["ask", "echo", b"\xff"], 2, "no text in UTF-8"),
        (["approvals", "deny", "question", b"\xff"], 2, "no text in UTF-8"),
    ],
)
def test_a_mistake_is_one_line_that_helps(
    terminal: Terminal, words: list[str | bytes], status: int, hint: str
) -> None:
    """A mistyped word, file or value is told in one line with what was probably meant."""
    (terminal.home / "tasks.json").write_text("[]")
    done = terminal.run(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert hint in one_line(done)


def test_with_json_a_mistake_is_json_on_stdout(terminal: Terminal) -> None:
    """A script that asked for JSON gets JSON, whatever happens."""
    assert terminal.json("agent", "lst", status=2)["error"]["code"] == "usage"
    done = terminal.run("--json", "agent")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "usage")
    assert terminal.json("agent", "ls", status=1)["error"]["code"] == "config_error"


@pytest.mark.parametrize("command", ["dev", "agent ls", "demo", "doctor"])
def test_a_variable_that_is_no_setting_is_wrong_usage_everywhere(terminal: Terminal, command: str) -> None:
    """With the one that was meant."""
    done = terminal.run(*command.split(), ACTORIUM_LEESE="3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown key 'leese', did you mean 'lease'?" in one_line(done)


@pytest.mark.parametrize(
    ("words", "to", "told"),
    [
        ("version", "/dev/full", "stdout: No space left on device"),
        ("version --json", "/dev/full", "stdout: No space left on device"),
        ("--help", "/dev/full", "No space left on device"),
        ("version", "&-", "stdout: Bad file descriptor"),
    ],
)
def test_what_cannot_be_written_is_a_failure(terminal: Terminal, words: str, to: str, told: str) -> None:
    """A disk that is full, or no stdout at all: one line, and never a success."""
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m actorium {words} >{to}"],
        cwd=terminal.home,
        env=terminal.environment,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, one_line(done)) == (1, f"error: {told}")


def test_a_program_that_raises_is_told_with_its_line(terminal: Terminal) -> None:
    """An exception in the user's own file is one line with file and line, not our stack."""
    (terminal.home / "broken.py").write_text("import actorium\n\nactorium.App(nonsense)\n")
    done = terminal.run("dev", "broken.py")
    assert done.returncode == 1
    assert "broken.py:3: NameError" in one_line(done)


def test_version_tells_what_runs(terminal: Terminal) -> None:
    """`version --json` names every part whose version matters in a report."""
    assert {"actorium", "python", "nats-py"} <= set(terminal.json("version"))


def test_the_version_is_told_as_everywhere(terminal: Terminal) -> None:
    """`actorium --version`, which is what people type first."""
    version = terminal.json("version")["actorium"]
    assert terminal.run("--version").stdout == f"actorium {version}\n"
    assert terminal.json("--version") == {"actorium": version}


def test_a_data_directory_that_cannot_be_is_told_before_a_server_is_looked_for(terminal: Terminal) -> None:
    """It could be fetched for a minute, for nothing."""
    for done in (
        terminal.run("dev", "app.py", "--data", "app.py", ACTORIUM_NATS_SERVER="/nowhere"),
        terminal.run("dev", "app.py", ACTORIUM_DATA="/proc/none", ACTORIUM_NATS_SERVER="/nowhere"),
    ):
        assert (done.returncode, done.stdout) == (1, "")
        assert "name another directory with --data or ACTORIUM_DATA" in one_line(done)


def test_an_error_inside_a_task_group_is_one_line_too(terminal: Terminal) -> None:
    """The demo on a server that is not there ends like every other command."""
    done = terminal.run("demo", NATS_URL="nowhere://x")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unknown_agent", Exit.NOT_FOUND),
        ("not_found", Exit.NOT_FOUND),
        ("deadline_exceeded", Exit.TIMEOUT),
        ("no_owner", Exit.TIMEOUT),
        ("run_budget", Exit.DENIED),
        ("run_account", Exit.DENIED),
        ("run_price", Exit.DENIED),
        ("denied", Exit.DENIED),
        ("whatever", Exit.FAILED),
    ],
)
def test_the_code_of_an_error_decides_the_exit_status(code: str, status: Exit) -> None:
    """Scripts tell errors apart by the exit status alone."""
    assert exit_status(code) is status


def codes(kind: type[ActoriumError] = ActoriumError) -> Iterator[str]:
    """The codes of every error that is known here."""
    yield kind.code
    for below in kind.__subclasses__():
        yield from codes(below)


def test_every_code_with_a_status_of_its_own_is_the_code_of_an_error() -> None:
    """A code that was renamed would end commands with 1, and nobody would notice."""
    runs = {f"run_{why}" for why in Why}
    assert set(cli_answer._STATUS) <= {*codes(), *runs, OtherRun.code, "usage"}


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (Status.SUCCESS, "", Exit.OK),
        (Status.PARTIAL, "run_budget", Exit.DENIED),
        (Status.PARTIAL, "run_max_tokens", Exit.FAILED),
        (Status.FAILURE, "run_account", Exit.DENIED),
        (Status.FAILURE, "deadline_exceeded", Exit.TIMEOUT),
        (Status.FAILURE, "handler_failed", Exit.FAILED),
        (Status.FAILURE, "", Exit.FAILED),
    ],
)
def test_how_a_task_ended_decides_too(status: Status, code: str, exit_code: Exit) -> None:
    """A part is not all, and a script must know that a budget is spent."""
    failure = Failure(code=code, message="no") if code else None
    assert result_status(Result(status=status, failure=failure)) is exit_code


def test_a_command_that_waits_for_a_task_ends_as_the_task_did(capsys: pytest.CaptureFixture[str]) -> None:
    """With the data that there is on stdout, and the status of its error."""
    spent = Failure(code="run_budget", message="the budget is spent")
    result = Result(status=Status.PARTIAL, data="half", error=spent.message, failure=spent)
    with pytest.raises(click.exceptions.Exit) as ended:
        cli_task.tell_result(Answer(), result)
    assert ended.value.exit_code == 4
    assert capsys.readouterr() == ("half\n", "partial: the budget is spent\n")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "soon"])
def test_a_duration_that_does_not_end_is_one_line(terminal: Terminal, seconds: str) -> None:
    """Python takes some of these for numbers."""
    done = terminal.run("ask", "counter", "x", "--timeout", seconds)
    assert done.returncode == Exit.USAGE
    assert len(done.stderr.splitlines()) == 1
    assert "--timeout" in done.stderr
