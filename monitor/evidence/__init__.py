"""KEEPS: the evidence log (not logging): append, cut, read back."""
