"""Abuse verdicts, from counters and from what people say."""
