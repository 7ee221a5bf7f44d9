"""The drive key protocol's codec (docs/protocol.md): bytes in, values out; standard library only, no I/O.

Whatever the input, the only exception that leaves this package is `codes.Fault`.
"""
