"""What Prometheus is told of a service."""
