"""A coverage-guided fuzzer over the reader, with a corpus grown from the files that tests write.

``scripts/fuzz --seconds 60`` runs it. A finding is a crash, a hang, more memory than a radiograph
needs, a picture that breaks its contract, an exception that is none of ours, and an exception of
our own code that only the outermost safety net caught. The exit code is then not zero and the
input is kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pacx.radiograph", "pacx.reading"]):
    from tests.reader_contract import LONGEST_SEED_BYTES, read_one, seeds

HANG_S = 10
MEMORY_MB = 2048


def main() -> None:
    """Grow the corpus and hand over to libFuzzer, which ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="Corpus and findings; temporary without it.")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="pacx-fuzz-"))
    corpus, findings = folder / "corpus", folder / "findings"
    for path in (corpus, findings):
        path.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(seeds()):
        (corpus / f"seed-{number:03d}").write_bytes(content)
    warnings.simplefilter("ignore")
    arguments = [
        f"-max_total_time={options.seconds}",
        f"-max_len={LONGEST_SEED_BYTES}",
        f"-timeout={HANG_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], read_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
