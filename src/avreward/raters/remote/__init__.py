"""A rater in another process or on another machine, asked over HTTP: the client of `avreward serve`."""
