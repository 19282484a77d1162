"""The paper's claims on simulated patients: every stage, every ablation, then probes."""
