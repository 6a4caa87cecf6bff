"""Actorium: durable actors for autonomous agents over NATS."""
