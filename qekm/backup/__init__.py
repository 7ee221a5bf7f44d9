"""Backups: made, proved in another process, kept, drilled; restoring.py and replacing.py put them back.

Without I/O: header.py, cover.py, stream.py, members.py and codec.py are the file's format (codec.py has its
table), records.py owns what is known of backups, due.py is the rule of when one is made, condition.py what a
status says. Shells: writing.py and reading.py touch files, proving.py is what the other process does, and
child.py starts it; making.py does the work on one file. keeping.py is the conversation that brings all of
this together while the service runs, routine.py the backups that nobody asks for.
"""
