"""Q-EKM: the open key manager for tape. This package is the service; see ARCHITECTURE.md."""

__version__ = "0.5.0"
