"""An estimate of tokens where nobody has counted them.

Not responsible for being exact: what was spent is what the provider says. Invariant: it rather says too much.
"""

from typing import Final

import msgspec

from .port import ModelRequest, Part

BYTES: Final = 3  # per token: English has about 4, code 3, Chinese 3 (a character)
OVERHEAD: Final = 8  # tokens around a part, a tool and the whole


def tokens_of(part: Part) -> int:
    """The tokens of a part, about."""
    return OVERHEAD + len(msgspec.json.encode(part)) // BYTES


def tokens_of_request(request: ModelRequest) -> int:
    """The tokens of a whole prompt, about."""
    bare = msgspec.structs.replace(request, turns=())
    parts = sum(tokens_of(part) for turn in request.turns for part in turn.parts)
    return OVERHEAD * (1 + len(request.tools)) + len(msgspec.json.encode(bare)) // BYTES + parts
