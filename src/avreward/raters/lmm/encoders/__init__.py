"""Encoders that transformers lacks, and connectors from their tokens to those of a language model."""
