"""Training of the PaCX encoder, its teachers and its heads."""
