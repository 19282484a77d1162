"""Evaluation of encoders by the protocol of the paper."""
