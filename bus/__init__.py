"""Bus: what a message is and how it travels. The bottom folder; with storage/ the only one that knows NATS."""
