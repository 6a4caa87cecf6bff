"""Trigger: what starts a workflow, as data. Who listens and starts it is told elsewhere.

In `inputs` the expression name `trigger` is what came in: the event's or the request's JSON, or the moment
the schedule fired for.
"""

from typing import TypeAlias

import msgspec

from ...bus.value import JsonObject


class Trigger(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
):
    """What every trigger says.

    Attributes:
        inputs: The run's inputs: literals, and references to `trigger`. Left out: what came in, as it is.
        enabled: Whether it starts anything.
    """

    inputs: JsonObject = {}
    enabled: bool = True


class Manual(Trigger, frozen=True, kw_only=True, omit_defaults=True, tag="manual"):
    """A person, or a program, by name. Every workflow can be started so; this one says it."""


class Schedule(Trigger, frozen=True, kw_only=True, omit_defaults=True, tag="schedule"):
    """The clock.

    Attributes:
        cron: Five fields: minute, hour, day of month, month, day of week.
        timezone: Name of the IANA zone the fields are read in.
    """

    cron: str
    timezone: str = "UTC"


class Webhook(Trigger, frozen=True, kw_only=True, omit_defaults=True, tag="webhook"):
    """A request on `webhooks.<path>`: from any NATS client, or from whoever passes HTTP requests on.

    It is answered with the run that it started, or with why it did not.

    Attributes:
        path: Last part of its subject; empty: the workflow's name.
    """

    path: str = ""


class Published(Trigger, frozen=True, kw_only=True, omit_defaults=True, tag="event"):
    """A message on a subject.

    Attributes:
        subject: A NATS subject, in which `*` is any one token and `>` all that follow.
    """

    subject: str


AnyTrigger: TypeAlias = Manual | Schedule | Webhook | Published
