"""Actors: units of state and concurrency that handle one message at a time. Knows no NATS."""
