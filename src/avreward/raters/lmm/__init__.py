"""Raters built on a large multimodal model: encoders, template, language model, readout."""
