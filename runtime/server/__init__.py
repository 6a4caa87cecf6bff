"""The embedded nats-server: found or fetched, started once per data directory, and kept."""
