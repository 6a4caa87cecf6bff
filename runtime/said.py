"""Said: what a person's line means as an answer to a question.

Pure. Invariant: only a plain yes lets a call run as it is; what is not understood is no answer.
"""

import msgspec

from ..actors.runs.approval import Verdict
from ..bus.value import JsonObject

HELP = "accept | edit {JSON} | respond TEXT | deny [TEXT]"


class Said(msgspec.Struct, frozen=True):
    """An answer.

    Attributes:
        arguments: With edit: what the call runs with.
    """

    verdict: Verdict
    text: str = ""
    arguments: JsonObject | None = None


def understood(line: str) -> Said | str:
    """What a line says, or why that is not clear."""
    word, _, rest = line.strip().partition(" ")
    text = rest.strip()
    match word.lower().rstrip(".!,:"):
        case "a" | "accept" | "approve" | "y" | "yes" | "ok":
            return "to accept, say just that" if text else Said(Verdict.ACCEPT)
        case "d" | "deny" | "n" | "no":
            return Said(Verdict.DENY, text=text)
        case "r" | "respond":
            return Said(Verdict.RESPOND, text=text) if text else "respond with what?"
        case "e" | "edit":
            return _edited(text)
        case _:
            return f"say one of: {HELP}"


def _edited(text: str) -> Said | str:
    try:
        return Said(Verdict.EDIT, arguments=msgspec.json.decode(text, type=JsonObject))
    except msgspec.MsgspecError as error:
        return f"edit needs the new arguments as a JSON object: {error}"
