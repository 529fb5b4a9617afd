"""One file a data set: where it comes from, what its columns mean, its hash and its fixed split."""
