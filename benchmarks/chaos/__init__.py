"""What the service promises when things go wrong, measured against real processes over real sockets."""
