"""One file a model: its data, its network and its numbers, in the order of the run."""
