"""Ray Serve and Ray Data on a cluster of three nodes in this machine: `make ray-test`."""
