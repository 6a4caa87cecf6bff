"""Bus: what a message is and how it travels. The lowest folder; with storage/ it alone knows NATS."""
