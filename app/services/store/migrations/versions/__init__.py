"""Every change of the tables, oldest first, run by ``app.services.store.migrate``."""
