"""`avreward tune`: a run that fine-tunes a generator, with checkpoints, guards, curves and a report."""
