"""The frozen physiology encoders that stage 2 learns from."""
