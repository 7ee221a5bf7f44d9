"""The properties of a key manager: read, in force, changed while it runs, and kept."""
