"""What differs between providers that speak OpenAI's chat completions: addresses, keys, names of fields.

Not responsible for the wire itself. Invariant: a profile is a value; adding a provider adds no code.
"""

from enum import StrEnum

import msgspec

from .port import Effort


class Limit(StrEnum):
    """What a provider calls the most that a model may write."""

    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


LOW_TO_HIGH = (Effort.LOW, Effort.MEDIUM, Effort.HIGH)


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A provider.

    Attributes:
        name: As in `provider:model`.
        base_url: Where it is by default, without `/chat/completions`; empty: it has to be set.
        url_variable: The variable of the environment that says otherwise.
        key_variables: The variables that may hold its key; the first is named to the user.
        needs_key: Whether it refuses calls without one.
        efforts: The grades it has, in ascending order.
        prices: Its name in the price list; empty: it has no prices of its own.
    """

    name: str
    base_url: str = ""
    url_variable: str = ""
    key_variables: tuple[str, ...] = ()
    needs_key: bool = True
    limit: Limit = Limit.MAX_TOKENS
    efforts: tuple[Effort, ...] = LOW_TO_HIGH
    prices: str = ""

    def effort(self, wanted: Effort) -> Effort:
        """The grade nearest to a wanted one: the highest up to it, else the lowest there is."""
        order = list(Effort)
        below = [grade for grade in self.efforts if order.index(grade) <= order.index(wanted)]
        return below[-1] if below else self.efforts[0]


OPENAI = Profile(
    name="openai",
    base_url="https://api.openai.com/v1",
    url_variable="OPENAI_BASE_URL",
    key_variables=("OPENAI_API_KEY",),
    limit=Limit.MAX_COMPLETION_TOKENS,
    efforts=(Effort.NONE, *LOW_TO_HIGH, Effort.XHIGH),
    prices="openai",
)
GEMINI = Profile(
    name="gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta/openai",
    url_variable="GEMINI_BASE_URL",
    key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    efforts=(Effort.NONE, *LOW_TO_HIGH),
    prices="google",
)
OLLAMA = Profile(
    name="ollama",
    base_url="http://127.0.0.1:11434/v1",
    url_variable="OLLAMA_BASE_URL",
    key_variables=("OLLAMA_API_KEY",),
    needs_key=False,
    efforts=(Effort.NONE, *LOW_TO_HIGH),
)
VLLM = Profile(
    name="vllm",
    base_url="http://127.0.0.1:8000/v1",
    url_variable="VLLM_BASE_URL",
    key_variables=("VLLM_API_KEY",),
    needs_key=False,
)
OPENROUTER = Profile(
    name="openrouter",
    base_url="https://openrouter.ai/api/v1",
    url_variable="OPENROUTER_BASE_URL",
    key_variables=("OPENROUTER_API_KEY",),
    efforts=(Effort.NONE, *LOW_TO_HIGH, Effort.XHIGH),
    prices="openrouter",
)
GROQ = Profile(
    name="groq",
    base_url="https://api.groq.com/openai/v1",
    url_variable="GROQ_BASE_URL",
    key_variables=("GROQ_API_KEY",),
    limit=Limit.MAX_COMPLETION_TOKENS,
    efforts=(Effort.NONE, *LOW_TO_HIGH),
    prices="groq",
)

PROFILES: tuple[Profile, ...] = (OPENAI, GEMINI, OLLAMA, VLLM, OPENROUTER, GROQ)
