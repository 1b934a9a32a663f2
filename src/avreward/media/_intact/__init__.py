"""Checksums and lengths that containers carry, verified before a file is decoded."""
