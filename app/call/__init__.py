"""The decisions of a call: pure, synchronous, with the time as an argument."""
