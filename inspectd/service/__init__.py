"""The service as an operator sees it: the daemon and what it says to systemd."""
