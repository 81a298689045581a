"""Charts about experiments: trials, pairs of runs, maps of bits and of recipes."""
