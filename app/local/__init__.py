"""The local model's ears, wits and voice: a phone call without an account or the internet.

They plug into the emulated OpenAI of ``app.emulators``, which stays the one implementation of
the protocol, and run in a process of their own: the recogniser holds the interpreter's lock
while it decodes, and the server's frames must not wait for it. Nothing here is imported by the
server.
"""
