"""Simulated calls to the project's own agents, and the tests of what plays and judges them."""
