"""How fast photos are restored on this machine, and with how much memory."""
