"""A user agent as a library: accounts, registrations, calls and their media, messages."""
