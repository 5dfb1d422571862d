"""The web console, without and with a browser."""
