"""The store: what outlives a process. Calls, their facts, who holds them, who was invited.

database      the address of a database, and how one is opened
schema        the tables; ``migrations`` make them, ``migrate`` runs those
writer        facts, written in batches off the audio path
calls         finding, reading, erasing
leases        which process holds which call; invitations; who lives
archive       all of it, for one process
"""
