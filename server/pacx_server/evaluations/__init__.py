"""Evaluations as jobs: received, queued on disk, run as processes of their own, and kept."""
