"""Fuzzing of what strangers may send."""
