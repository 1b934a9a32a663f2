"""Keys of content: equal keys mean equal content."""
