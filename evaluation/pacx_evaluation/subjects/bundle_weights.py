"""The encoder of a bundle in torch."""

from pacx_training.bundle_weights import bundle_network, encoder_config

__all__ = ["bundle_network", "encoder_config"]
