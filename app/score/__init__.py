"""Whole tables and folders of files through a model, without a service: `python -m app score`."""
