"""tap, dlq and ledger: looking at what agents got and did."""

import json
import signal
import subprocess

from cli.terminal import Terminal, one_line


def tapping(node: Terminal, *words: str) -> "subprocess.Popen[str]":
    process = node.start("tap", *words)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("tapping")
    return process


def test_the_tap_shows_a_task_and_its_result_without_secrets(node: Terminal) -> None:
    """What an agent gets and says is shown as it comes, one JSON object a line, masked."""
    node.json("agent", "spawn", "tapped", "app:Echo")
    process = tapping(node, "tapped", "--count", "4", "--json")
    task = '{"spec":{"password":"hunter2","text":"hello"}}'
    assert node.json("task", "send", "tapped", task, "--wait", "--task-id", "tap-1")["status"] == "success"
    out, _ = process.communicate(timeout=30)
    lines = [json.loads(line) for line in out.splitlines()]
    assert sorted(line["leaf"] for line in lines) == ["events", "events", "inbox", "outbox"]
    assert all("hello" in line["body"] for line in lines if line["leaf"] != "events")
    assert "hunter2" not in out
    assert process.returncode == 0


def test_ctrl_c_is_the_end_of_a_tap_and_no_error(node: Terminal) -> None:
    """A tap without --count is meant to be interrupted."""
    process = tapping(node, "echo")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_dead_letters_are_listed_shown_redriven_and_dropped(node: Terminal) -> None:
    """A task that could not be handled waits with its reason until somebody decides."""
    node.json("agent", "spawn", "picky", "app:Counter")
    for number in range(3):
        node.json("task", "send", "picky", f"no number {number}", "--wait", status=1)
    letters = node.json("dlq", "ls", "--agent", "picky")
    first, second, _ = (str(letter["seq"]) for letter in letters)
    assert "no number 0" in node.run("dlq", "show", first).stdout
    assert node.json("dlq", "show", second)["body"] == '{"spec":"no number 1"}'
    (again,) = node.json("dlq", "redrive", first)
    assert again["task_id"].endswith(f".r{first}")
    assert node.json("dlq", "drop", second) == [{"seq": int(second), "dropped": True}]
    assert node.json("dlq", "drop", second, status=3)[0]["error"]["code"] == "not_found"


def test_many_dead_letters_need_a_yes(node: Terminal) -> None:
    """Nothing is done to several letters by a slip; --yes says that they are meant."""
    node.json("agent", "spawn", "fussy", "app:Counter")
    for number in range(2):
        node.json("task", "send", "fussy", f"no number {number}", "--wait", status=1)
    done = node.run("dlq", "drop", "--all", "--agent", "fussy")
    assert done.returncode == 2
    assert "--yes" in one_line(done)
    assert len(node.json("dlq", "ls", "--agent", "fussy")) == 2
    assert len(node.json("dlq", "drop", "--all", "--agent", "fussy", "--yes")) == 2
    assert node.json("dlq", "ls", "--agent", "fussy") == []


def test_a_ledger_is_proven_and_grows_from_its_checkpoint(node: Terminal) -> None:
    """verify prints a checkpoint that a longer chain still contains, and no other chain does."""
    node.json("agent", "spawn", "proven", "app:Counter")
    node.json("task", "send", "proven", '{"amount":1}', "--wait")
    checkpoint = node.run("ledger", "verify", "proven").stdout.strip()
    node.json("task", "send", "proven", '{"amount":1}', "--wait")
    told = node.json("ledger", "verify", "proven", "--checkpoint", checkpoint)
    assert told["count"] > int(checkpoint.partition(":")[0])
    forged = f"{checkpoint.partition(':')[0]}:{'0' * 64}"
    assert (
        node.json("ledger", "verify", "proven", "--checkpoint", forged, status=1)["error"]["code"]
        == "corrupt"
    )
    assert node.json("ledger", "verify", "nobody", status=3)["error"]["code"] == "unknown_agent"
