"""Caption: a step in a few words, for drawings and lists."""

from .step import Kind, Step


def what(step: Step) -> str:
    """What a step does, in a few words: `bank.pay`, `sleep 30s`."""
    match step.kinds:
        case (Kind.AGENT, *_):
            return f"{step.agent}.{step.action}" if step.action else step.agent
        case (Kind.WORKFLOW, *_):
            return f"workflow {step.workflow}"
        case (Kind.SLEEP, *_):
            return _sleep(step)
        case (Kind.SIGNAL, *_):
            return f"signal {step.wait_signal}"
        case _:
            return ""


def _sleep(step: Step) -> str:
    match step.sleep:
        case None:
            return f"until {step.until}"
        case str(template):
            return f"sleep {template}"
        case length:
            return f"sleep {length:g} s"


def marks(step: Step) -> list[str]:
    """What is around a step, in a word each."""
    said = {
        "each": step.for_each,
        "approve": step.approve,
        f"retry {step.retry.max}": step.retry.max,
        "undo": step.undo,
    }
    return [word for word, there in said.items() if there]
