"""Validation: everything in a workflow that cannot work, told at once, before anything starts."""
