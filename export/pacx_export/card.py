"""The model card: ``README.md`` with the YAML front matter that model hubs read."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from pacx.manifest import FindingSpec, Interval, Manifest, Source, Teacher, ValueSpec
from pacx.model_card import DISCLAIMER, SIMULATED

ENGINES = "Engines against torch"
"""The heading of what was proved."""
_NO_FINDINGS = "None: this model has no heads and answers embeddings and attention maps."
_READ_OUTS = (
    "## Read-outs\n\nWhat else an embedding tells, as a check of sanity. These are no findings, "
    "and answers hold them only where they are asked for."
)


def model_card(manifest: Manifest, parity: Iterable[str] = ()) -> str:
    """Write the card of a bundle.

    Args:
        manifest: What the card says comes from here.
        parity: Sentences on how exactly the engines repeat the model, one per graph and engine.
    """
    sections = [
        f"---\n{_front_matter(manifest)}---",
        f"# {manifest.name} {manifest.version}",
        f"**{DISCLAIMER}** {manifest.intended_use}",
        _simulated(manifest),
        f"## Findings\n\n{_findings(manifest.answered) if manifest.answered else _NO_FINDINGS}",
        _values(manifest),
        _read_outs(manifest),
        _anatomy(manifest),
        _novelty(manifest),
        f"## Input\n\n{_input(manifest)}",
        f"## Made from\n\n{_sources(manifest)}",
        f"## Limits\n\n{bullets(manifest.provenance.limitations)}",
        f"## {ENGINES}\n\n{bullets(parity)}",
        f"## Terms\n\nWeights: {manifest.licence}. The sources' own terms stand above.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def bullets(lines: Iterable[str]) -> str:
    """Sentences as a list; says so where there are none."""
    return "\n".join(f"- {line}" for line in lines) or "- None stated."


def _front_matter(manifest: Manifest) -> str:
    return yaml.safe_dump(
        {
            "license": manifest.licence.lower(),
            "library_name": "timm",
            "pipeline_tag": "image-classification",
            "tags": ["chest-x-ray", "radiology", "vision-transformer", "onnx", "pacx"],
            "model_name": manifest.name,
            "version": manifest.version,
        },
        sort_keys=False,
    )


def _simulated(manifest: Manifest) -> str:
    return SIMULATED if manifest.simulated_physiology else ""


def _findings(findings: Iterable[FindingSpec]) -> str:
    head = (
        "| finding | group | training positives | AUROC on held-out films (95 % interval) "
        "| threshold | temperature |\n|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(_finding, findings)])


def _finding(finding: FindingSpec) -> str:
    auroc = finding.validation_auroc
    measured = "-" if auroc is None else _interval(auroc)
    return (
        f"| {finding.label} | {_group(finding)} | {finding.training_counts} | {measured} "
        f"| {finding.threshold:.3f} | {finding.temperature:.3f} |"
    )


def _values(manifest: Manifest) -> str:
    values = [value for value in manifest.values if value.group != "read_out"]
    return f"## Values\n\n{_estimates(values)}" if values else ""


def _read_outs(manifest: Manifest) -> str:
    findings = [finding for finding in manifest.findings if finding.group == "read_out"]
    values = [value for value in manifest.values if value.group == "read_out"]
    tables = [_findings(findings)] * bool(findings) + [_estimates(values)] * bool(values)
    return "\n\n".join([_READ_OUTS, *tables]) if tables else ""


def _estimates(values: Iterable[ValueSpec]) -> str:
    head = (
        "| value | group | training films | R2 on left-out patients (95 % interval) "
        "| mean absolute error | unit |\n|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(_value, values)])


def _value(value: ValueSpec) -> str:
    return (
        f"| {value.label} | {_group(value)} | {value.training_films} "
        f"| {_interval(value.determination)} | {_interval(value.error)} | {value.unit or '-'} |"
    )


def _group(column: FindingSpec | ValueSpec) -> str:
    name = column.group.replace("_", "-")
    return f"{name}, simulated" if column.simulated else name


def _anatomy(manifest: Manifest) -> str:
    spec = manifest.anatomy
    if spec is None:
        return ""
    dice = ", ".join(
        f"{name} {_interval(interval)}"
        for name, interval in (
            ("heart", spec.heart_dice),
            ("right lung", spec.right_lung_dice),
            ("left lung", spec.left_lung_dice),
        )
    )
    ratio = "not measured" if spec.ratio_error is None else _interval(spec.ratio_error)
    return (
        f"## Anatomy\n\nDice on {spec.films} films of patients that no fold was fitted on (95 % "
        f"interval): {dice}. Mean absolute error of the cardiothoracic ratio on the "
        f"{spec.ratio_films} of them whose outlines are certain: {ratio}; on "
        f"{spec.ratio_missing} more it could not be measured. Cardiomegaly is measured as a ratio "
        "of 0.5 or more on PA films and is not a finding of a head."
    )


def _novelty(manifest: Manifest) -> str:
    spec = manifest.novelty
    if spec is None:
        return ""
    return (
        f"## Pictures unlike chest films\n\nThe distance of an embedding from those of "
        f"{spec.films} chest films calls {spec.false_alarm_rate:.0%} of left-out films of the same "
        "source unlike."
    )


def _interval(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _input(manifest: Manifest) -> str:
    spec = manifest.input
    return (
        f"A frontal chest radiograph, air dark and bone bright, squashed to {spec.size} x "
        f"{spec.size} pixels (antialiased bilinear), grey in three channels, normalised with "
        f"mean {list(spec.mean)} and standard deviation {list(spec.std)}."
    )


def _sources(manifest: Manifest) -> str:
    told = manifest.provenance
    lines = [f"Start: {told.initialisation}", "", *map(_source, told.sources)]
    return "\n".join([*lines, *map(_teacher, told.teachers)])


def _teacher(teacher: Teacher) -> str:
    """A teacher of stage 2, and below it what it was made from."""
    name = f"- Teacher `{teacher.modality}`, frozen; weights with sha256 `{teacher.sha256}`."
    below = (f"  {_source(source)}" for source in teacher.sources)
    return "\n".join([f"{name} Start: {teacher.initialisation}", *below])


def _source(source: Source) -> str:
    counts = [
        f"{number} {what}"
        for number, what in ((source.films, "films"), (source.patients, "patients"))
        if number is not None
    ]
    size = f" ({', '.join(counts)})" if counts else ""
    return f"- {source.name}{size}: {source.use}. {source.licence}. {source.citation}"
