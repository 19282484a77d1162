"""Paired and labelled data: published layouts, manifests and simulated physiology."""
