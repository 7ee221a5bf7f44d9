"""The gateway: speaks the drive key protocol with drives and the Serving stream with the service.

It keeps nothing between connections, verifies nothing, signs nothing and wraps nothing; it may be killed at
any moment.
"""
