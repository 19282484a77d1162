"""A run -> a bundle, written only if every gate passes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from pacx.bundle import HEADS, WEIGHTS, Bundle, file_table, open_bundle, staging, write_manifest
from pacx.manifest import EncoderSpec, GraphName, GraphSpec, Manifest, Provenance, ReferenceSpec
from pacx.model_card import CARD
from pacx.naming import check_name, check_version
from pacx.preprocessing import PreprocessingSpec, normalise
from pacx_export.card import model_card
from pacx_export.graphs import Classifier, Graph, graphs
from pacx_export.hub import hub_config
from pacx_export.onnx import stored_tensors, write_graph
from pacx_export.pictures import verification_pictures
from pacx_export.reference import FILE as REFERENCE
from pacx_export.reference import write_reference
from pacx_export.verification import verify
from pacx_export.verification_report import FILE as VERIFICATION
from pacx_export.weights import check_rounding, load_classifier, write_weights
from pacx_training.anatomy_files import load_anatomy
from pacx_training.encoder import EncoderConfig
from pacx_training.novelty import load_novelty
from pacx_training.runs import RunDirectory

LICENCE = "CC-BY-NC-4.0"
INTENDED_USE = (
    "Embeddings, findings and attention maps of frontal chest radiographs for research and for "
    "demonstrations. It has no clearance as a medical device and must not inform care."
)


def export_bundle(
    run: RunDirectory, directory: Path, *, name: str, version: str, films: Path | None = None
) -> Bundle:
    """Export a run, prove every graph on every engine here, and write the bundle in one rename.

    Args:
        run: With a trained encoder and heads.
        directory: To be made.
        name: Of the model, such as ``pacx-small``.
        version: Of the model, such as ``0.1.0``.
        films: A folder of real radiographs to prove it on, besides phantoms.

    Raises:
        CheckpointError: The run is incomplete or damaged.
        CohortError: There are too few films.
        BundleError: A gate failed, ``directory`` exists, or name or version may not be; nothing is
            written.
    """
    check_name(name)
    check_version(version)
    classifier, provenance = load_classifier(run), run.load_provenance()
    anatomy, novelty = load_anatomy(run), load_novelty(run)
    spec = PreprocessingSpec(size=classifier.encoder.config.image_size)
    pictures = verification_pictures(films, spec)
    everything = np.concatenate(list(pictures.values()))
    rounding = check_rounding(run, classifier, torch.from_numpy(normalise(everything, spec)))
    made = graphs(classifier)
    with staging(directory) as folder:
        write_weights(classifier, folder, novelty)
        specs = _write_files(classifier, made, folder, spec)
        manifest = Manifest(
            name=name,
            version=version,
            created=datetime.now(UTC).date().isoformat(),
            licence=LICENCE,
            intended_use=INTENDED_USE,
            simulated_physiology=_simulated(classifier, provenance),
            provenance=provenance,
            encoder=_encoder_spec(classifier.encoder.config),
            input=spec,
            graphs=specs,
            heads=classifier.specs,
            anatomy=anatomy.spec if anatomy else None,
            novelty=novelty.spec if novelty else None,
            reference=ReferenceSpec(file=REFERENCE),
            files=file_table(folder),
        )
        verification = verify(write_manifest(folder, manifest), made, pictures)
        verification = verification.model_copy(update={"rounding": rounding})
        _write_text(folder / VERIFICATION, verification.model_dump_json(indent=2))
        _write_text(folder / CARD, model_card(manifest, verification.statements))
        write_manifest(folder, manifest.model_copy(update={"refused": verification.refused}))
    return open_bundle(directory)


def _write_files(
    classifier: Classifier, made: Sequence[Graph], folder: Path, spec: PreprocessingSpec
) -> dict[GraphName, GraphSpec]:
    """Write all that the manifest describes but the weights, and a card that says nothing yet."""
    config = hub_config(classifier.encoder.config, spec, LICENCE)
    _write_text(folder / "config.json", config.model_dump_json(indent=2))
    _write_text(folder / CARD, "")
    write_reference(made, folder, spec)
    return _write_graphs(made, folder)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def _simulated(classifier: Classifier, provenance: Provenance) -> bool:
    """Whether the encoder or a head learnt from simulated physiology."""
    heads = any(column.simulated for head in classifier.specs for column in head.columns)
    return heads or provenance.simulated


def _write_graphs(made: Sequence[Graph], folder: Path) -> dict[GraphName, GraphSpec]:
    stored = stored_tensors(folder / WEIGHTS) | stored_tensors(folder / HEADS)
    return {graph.name: write_graph(graph, folder, stored) for graph in made}


def _encoder_spec(config: EncoderConfig) -> EncoderSpec:
    return EncoderSpec(
        architecture=config.architecture,
        embedding_dimension=config.embed_dim,
        depth=config.depth,
        heads=config.num_heads,
        patch_size=config.patch_size,
        grid=(config.grid, config.grid),
    )
