"""The verbs of the original's family."""
