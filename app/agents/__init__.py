"""The agent document: what the operator of a line writes."""
