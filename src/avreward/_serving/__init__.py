"""What the servers of this package share: a listening socket, bounded requests, and who may ask."""
