"""The logs of a key manager, at the original's places and for today's systems.

The store's trail is the truth: what is written here is a copy, and one that cannot be written stops nobody.
"""
