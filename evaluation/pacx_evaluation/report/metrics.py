"""What metrics are called in tables and figures."""

METRICS = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1 at the chosen threshold",
    "f1_at_one_half": "F1 at a probability of 0.5, uncalibrated",
    "prevalence": "Prevalence",
    "auroc_delong": "AUROC with DeLong's interval, clustered by patient",
    "auroc_over_seeds": "AUROC from the worst to the best seed",
    "r_squared": "Share of variance explained (R²)",
    "spearman": "Rank correlation (Spearman)",
    "ece": "Expected calibration error",
    "brier": "Brier score",
    "negative_log_likelihood": "Negative log likelihood, nats",
    "true_positive_rate": "Sensitivity at one threshold",
    "false_positive_rate": "False-positive rate at one threshold",
    "true_positive_rate_gap": "Gap of sensitivity to all others",
    "false_positive_rate_gap": "Gap of false-positive rate to all others",
    "auroc_change": "Change of AUROC",
    "probability_shift": "Mean absolute change of a probability",
    "probability_shift_worst": "Largest change of a probability",
    "cosine_distance": "Mean cosine distance of embeddings",
    "cosine_distance_worst": "Largest cosine distance of embeddings",
    "flipped": "Share of decisions that flip",
    "explained_variance": "Share of variance explained (R²), all columns together",
    "cosine": "Cosine",
    "centred_cosine": "Cosine about the mean",
    "recall_at_1": "True row nearest, share of films",
    "recall_at_5": "True row among the nearest 5, share of films",
    "recall_at_10": "True row among the nearest 10, share of films",
    "focus_heart": "Silhouette focus: heart",
    "focus_lungs": "Silhouette focus: lungs",
    "focus_outside": "Silhouette focus: outside the thorax",
    "pointing_heart": "Strongest cell inside the heart, share of films",
    "p50_ms": "Median, ms",
    "p95_ms": "95th percentile, ms",
    "p99_ms": "99th percentile, ms",
    "films_per_second": "Films per second",
    "resident_mb": "Largest resident memory, MB",
}


def target_name(target: str) -> str:
    """What a target is called in tables and figures."""
    return "mean over findings" if target == "macro" else target
