"""`inspectd bench`: how fast this machine is, and how much of it is left over beside the network's own arithmetic."""
