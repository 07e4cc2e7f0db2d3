"""Words and wires: what can happen, what can be asked for, and how both look on a socket."""
