"""Running code that nobody trusts. Reserved: no sandbox is here yet, and nothing pretends to be one."""
