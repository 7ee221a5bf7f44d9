"""The Debian package: what is in it, how it is made, what it does when it comes and goes."""
