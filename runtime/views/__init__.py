"""A run as a person or a program sees it: read, folded, drawn and watched; nothing here changes it."""
