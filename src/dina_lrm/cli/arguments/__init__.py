"""The options of each command, and the checks that need no library: help and refusals come without waiting."""
