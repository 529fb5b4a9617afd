"""Headrace: serves trained networks from a model repository over HTTP."""

__version__ = "0.1.0"
