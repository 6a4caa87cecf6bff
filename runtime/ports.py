"""What the runs of a process work with, wired from its connection and its settings."""

from ..actors.carrier import Ports
from ..actors.models.prices import Prices
from ..actors.models.resolve import Models
from ..actors.port import Courier
from .config import Settings
from .namespace import Namespace


def ports_of(names: Namespace, courier: Courier, settings: Settings) -> Ports:
    """The ports of carriers; no model is loaded or connected before it is used."""
    models, prices = Models(settings.models), Prices(settings.prices)
    return Ports(names.ledger, names.blobs, names.state, courier, models, prices)
