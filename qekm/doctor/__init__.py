"""What is wrong with an installation: steps in order, each a pure decision over facts of a thin shell.

`qekm-server doctor` looks at a home (examination.py); `qekm doctor` does the same by starting it, and looks
at the way to the service. Nothing is written, no lock is taken, no password is asked for, and every step has
its deadline.
"""
