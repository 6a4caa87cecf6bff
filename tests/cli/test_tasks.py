"""task and ask: work in, results out, and an exit status that tells how it went."""

from cli.terminal import Terminal, interrupt


def test_a_sent_task_prints_its_id(node: Terminal) -> None:
    """Without --wait the task is stored and its id is all there is to say."""
    assert node.json("task", "send", "echo", "hi", "--task-id", "one") == {"task_id": "one", "agent": "echo"}
    assert node.run("task", "send", "echo", "hi", "--task-id", "two").stdout == "two\n"


def test_waiting_prints_the_result(node: Terminal) -> None:
    """--wait prints the Result as JSON, or its data as text."""
    told = node.json("task", "send", "echo", "hi", "--wait")
    assert (told["status"], told["data"]) == ("success", {"said": "hi"})
    assert node.run("ask", "echo", "hi").stdout == '{\n  "said": "hi"\n}\n'


def test_the_same_id_is_the_same_task(node: Terminal) -> None:
    """Sending again with --task-id waits for the one that is there; it runs once."""
    node.json("agent", "spawn", "once", "app:Counter")
    for _ in range(2):
        told = node.json("task", "send", "once", '{"amount":5}', "--wait", "--task-id", "five")
        assert told["data"] == 5


def test_a_task_comes_from_a_file_or_stdin(node: Terminal) -> None:
    """--json-file takes a Task, and - reads it from stdin."""
    body = '{"spec": {"a": [1]}, "constraints": ["short"]}'
    (node.home / "task.json").write_text(body)
    assert node.json("ask", "echo", "--json-file", "task.json")["data"] == {"said": {"a": [1]}}
    assert node.run("ask", "echo", "--json-file", "-", body=body).returncode == 0
    assert node.run("ask", "echo", "--json-file", "-", body="no json").returncode == 2


def test_a_failed_task_is_exit_1(node: Terminal) -> None:
    """A Result of status failure is printed, and fails the script that asked."""
    assert node.json("ask", "echo", "boom", status=1)["status"] == "failure"
    assert node.json("ask", "counter", "no number", status=1)["error"]["code"] == "bad_task"


def test_a_timeout_is_exit_5_and_the_task_goes_on(node: Terminal) -> None:
    """The wait ends at its timeout; the same task id finds the result later."""
    words = ["task", "send", "echo", '{"action":"wait","spec":1}', "--task-id", "slow", "--wait"]
    assert node.json(*words, "--timeout", "0.2", status=5)["error"]["code"] == "deadline_exceeded"
    assert node.json(*words)["status"] == "success"


def test_an_interrupted_wait_is_exit_130(node: Terminal) -> None:
    """Ctrl-C while waiting is no traceback and no success."""
    process = node.start("task", "send", "echo", '{"action":"wait","spec":2}', "--wait")
    assert process.stderr is not None
    assert "waiting for its result" in process.stderr.readline()
    assert interrupt(process) == 130
    assert process.stderr.read().strip() == "interrupted"
