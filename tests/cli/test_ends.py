"""How programs end: the demo by itself, a stopped program without waiting for what cannot come."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

APP = """
import asyncio
from actorium import Actor, App
print("loaded", flush=True)
class Leaf(Actor):
    async def receive(self, message: str, ctx):
        await asyncio.sleep(0.5)
class Root(Actor):
    async def receive(self, message: str, ctx):
        for n in range(40):
            await ctx.delegate("leaf", str(n))
app = App(Leaf.named("leaf"), Root.named("root"))
app.run()
"""


def _environment(home: Path, nats_binary: Path) -> dict[str, str]:
    return os.environ | {"XDG_DATA_HOME": str(home), "ACTORIUM_NATS_SERVER": str(nats_binary)}


def test_two_demos_at_once_show_each_its_own_result(tmp_path: Path, nats_binary: Path) -> None:
    """Both end by themselves with the merged result, and leave nothing behind."""
    command = [sys.executable, "-m", "actorium", "demo"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = _environment(tmp_path / "data", nats_binary) | {"TMPDIR": str(temporary)}
    both = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
    ]
    for demo in both:
        out, err = demo.communicate(timeout=100)
        assert demo.returncode == 0, err.decode()
        assert json.loads(out)["status"] == "success"
    assert [*temporary.iterdir(), *tmp_path.glob("data/actorium/nats")] == []


def test_a_stop_does_not_wait_for_delegates_that_nobody_will_run(tmp_path: Path, nats_binary: Path) -> None:
    """The last node stops long before `drain` is over, and the program's file ran once in its process."""
    script = tmp_path / "delegating.py"
    script.write_text(APP)
    env = _environment(tmp_path, nats_binary)
    told = [sys.executable, "-m", "actorium", "task", "send", "root", "go"]
    with (tmp_path / "out").open("w") as out:
        program = subprocess.Popen([sys.executable, str(script)], env=env, stdout=out, stderr=out)
    try:
        limit = time.monotonic() + 30
        while "node.up" not in (tmp_path / "out").read_text():  # before, Ctrl-C would cut its start
            assert time.monotonic() < limit, (tmp_path / "out").read_text()
        assert subprocess.run(told, env=env, capture_output=True, check=False).returncode == 0
        begun = time.monotonic()
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 0, (tmp_path / "out").read_text()
        assert time.monotonic() - begun < 20
    finally:
        program.kill()
    assert (tmp_path / "out").read_text().count("loaded") == 2, "once in the program, once in the zygote"


def test_a_demo_without_a_terminal_and_without_stdout_ends_and_says_so(
    tmp_path: Path, nats_binary: Path
) -> None:
    """Where stdin is closed nobody is asked, and a result that cannot be told is a failure."""
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m actorium demo <&- >&-"],
        env=_environment(tmp_path / "data", nats_binary),
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert "nobody sits at a terminal" in done.stderr
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "error: stdout: Bad file descriptor")
