"""Workflows: what shall be done as data, whether it can be, and how it is carried."""
