"""The demo: a real text, read by actors and by agents that think."""
