"""Runs: a task of a thinking agent carried to its end, one recorded step at a time."""
