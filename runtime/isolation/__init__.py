"""Agents in a process of their own: their owner's side, the line between, and the process itself."""
