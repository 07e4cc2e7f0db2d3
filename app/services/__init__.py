"""Other people's computers and our disk."""
