"""Work that outlives a process: placing calls, delivering webhooks; in a process of its own."""
