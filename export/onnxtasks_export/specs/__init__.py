"""Processor and config -> Spec, one file a task; no torch here."""
