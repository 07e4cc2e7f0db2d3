"""Samples: mu-law, tones and WAV files. No I/O beyond bytes, no clock."""
