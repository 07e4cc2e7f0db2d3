"""What holds for every test: no property is judged by the time it takes."""

from hypothesis import settings

# Inherits what hypothesis itself chooses, here or in CI, but its 200 ms an example.
settings.register_profile("patient", parent=settings(), deadline=None)
settings.load_profile("patient")
