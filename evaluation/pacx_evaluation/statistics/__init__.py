"""Metrics with patient-clustered intervals, paired tests and calibration."""
