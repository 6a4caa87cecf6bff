"""agent: spawn, look, stop and restart, on a node that runs."""

import pytest

from cli.terminal import Terminal, one_line


def test_a_spawned_agent_answers_and_is_listed(node: Terminal) -> None:
    """An agent is there as soon as it is spawned, as it was defined."""
    node.json("agent", "spawn", "mary", "app:Counter", "--description", "counts", "--isolation", "process")
    assert node.json("ask", "mary", '{"amount":2}')["data"] == 2
    assert "mary" in [told["name"] for told in node.json("agent", "ls")]
    told = node.json("agent", "show", "mary")
    assert (told["kind"], told["isolation"], told["description"]) == ("app:Counter", "process", "counts")


def test_a_stopped_agent_refuses_until_it_is_restarted(node: Terminal) -> None:
    """stop and restart do what they say, and status tells it."""
    node.json("agent", "spawn", "john", "app:Echo")
    assert node.json("agent", "stop", "john")["status"] == "stopped"
    assert node.json("ask", "john", "hi", status=1)["error"]["code"] == "actor_stopped"
    assert node.json("agent", "status", "john")["status"] == "stopped"
    assert node.json("agent", "restart", "john")["status"] == "idle"
    assert node.json("ask", "john", "hi")["data"] == {"said": "hi"}


def test_an_agent_that_cannot_be_made_is_told_with_the_reason(node: Terminal) -> None:
    """Whoever asks it, looks at it or restarts it is told why it is in error."""
    why = "Echo() takes no arguments"
    loud = node.json("agent", "spawn", "loud", "app:Echo", "--config-json", '{"volume":11}')
    assert loud["config"] == {"volume": 11}
    error = node.json("ask", "broken", "hi", status=1)["error"]
    assert error["code"] == "actor_stopped"
    assert "see actorium agent status broken" in error["message"]
    assert why in error["message"]
    told = node.json("agent", "status", "broken")
    assert (told["status"], why in told["error"]) == ("error", True)
    again = node.run("agent", "restart", "broken")
    assert (again.returncode, again.stdout, why in one_line(again)) == (1, "broken is error\n", True)


def test_an_unknown_agent_is_told_with_the_nearest_name(node: Terminal) -> None:
    """A mistyped agent is exit 3 and a guess, and no task is stored for nobody."""
    for words in (
        ["ask", "ecko", "hi"],
        ["task", "send", "ecko", "hi"],
        ["agent", "stop", "ecko"],
        ["agent", "show", "ecko"],
        ["dlq", "ls", "--agent", "ecko"],
        ["run", "hi", "--agent", "ecko"],
    ):
        done = node.run(*words)
        assert (done.returncode, done.stdout) == (3, "")
        assert "did you mean 'echo'?" in one_line(done)
    assert node.json("tap", "ecko", status=3)["error"]["code"] == "unknown_agent"


def test_a_name_that_no_agent_can_have_is_wrong_usage_everywhere(node: Terminal) -> None:
    """Also where only the workers that are up know the agents."""
    done = node.run("run", "hi", "--agent", "a b")
    assert (done.returncode, done.stdout) == (2, "")
    assert "agent id 'a b' must be" in one_line(done)


def test_a_list_is_a_table_for_people(node: Terminal) -> None:
    """Without --json there are columns, and no colours."""
    done = node.run("agent", "ls")
    assert done.stdout.splitlines()[0].split() == ["AGENT", "KIND", "ISOLATION", "SWITCH", "DESCRIPTION"]
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(("words", "status"), [(["agent", "ls"], 0), (["ask", "conter", "x"], 3)])
def test_a_reader_that_has_enough_ends_a_command_quietly(
    node: Terminal, words: list[str], status: int
) -> None:
    """`actorium ... | head` leaves no traceback, and what failed has failed all the same."""
    process = node.start(*words, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(30) == status
    assert len(process.stderr.read().splitlines()) == bool(status)
