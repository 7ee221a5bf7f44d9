"""Metrics, rules and dashboard, before a real Prometheus."""
