"""Signed work: what the agent is handed, whether it may be done, how it is done, and what is told of it.

Three parties share one folder, STATE/jobs. The running agent (room.py) puts on disk what it is handed and moves what is to be
told into the spool. A child process (work.py), which ends when there is nothing to do, verifies, decides by rules.py and runs
steps. People look (listing.py), put a restart off (putting_off.py) and say whose signature counts (trust.py).
"""
