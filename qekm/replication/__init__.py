"""How two servers of an estate have the same rows: what they say to each other, and what they do with it."""
