"""One file a family of multimodal models: preprocessing in the graph, encoders, chat format, positions."""
