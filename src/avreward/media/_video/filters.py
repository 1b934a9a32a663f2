"""FFmpeg's filters, for frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from av.filter import Graph

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def filter_graph(frame: VideoFrame, name: str, options: str) -> Graph:
    """Return a graph of one filter for frames like `frame`: push frames into it and pull the results."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    applied, sink = graph.add(name, options), graph.add("buffersink")
    source.link_to(applied)
    applied.link_to(sink)
    graph.configure()
    return graph
