"""Chest X-ray embeddings, findings and attention maps from a PaCX bundle."""
