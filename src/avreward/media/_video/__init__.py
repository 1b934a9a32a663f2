"""From the packets of a video track to upright 8-bit RGB frames."""
