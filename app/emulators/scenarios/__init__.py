"""Scenarios of the demonstration: what a call has to sound like, one small function each."""
