"""Interchange: other products' and other sites' containers of keys, read and written as bytes."""
