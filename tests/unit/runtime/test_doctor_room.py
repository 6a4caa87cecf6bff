"""What an account may have, against what we make in it."""

import pytest

from actorium.runtime.doctor import Level, room


@pytest.mark.parametrize(
    ("limits", "level", "says"),
    [
        ({"max_consumers": -1, "max_storage": -1}, Level.OK, "no limit"),
        ({"max_consumers": 65, "max_storage": -1}, Level.OK, "no limit"),
        ({"max_consumers": 64, "max_storage": -1}, Level.MISSING, "64 partitions need 65"),
        ({"max_consumers": -1, "max_storage": 1_000_000}, Level.NOTE, "refused soon"),
    ],
)
def test_an_account_without_room_is_told_before_agents_stay_without_an_owner(limits, level, says) -> None:
    """Else a part of the partitions is never hosted, and tasks are refused without a reason."""
    found = room({"storage": 950_000, "limits": limits}, 64)
    assert found.level is level
    assert says in found.says
