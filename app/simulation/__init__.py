"""Simulated calls: what a caller does and what has to come of it, written in a file and tried.

Servers of one's own agents in this process, the caller, the line and the scripted model in
another (``python -m app.emulators simulation``), real sockets between them.
"""
