"""The command line: ``sansdimse echo``, ``store``, ``serve`` and ``demo``."""
