"""Patchline answers phone calls with an AI and puts callers through to people."""
