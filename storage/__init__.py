"""Storage: what must survive a crash. Ports in `port.py`, one file per technology, contract-tested twins."""
