"""From a data set to results: what runs, on which part, proven and timed."""
