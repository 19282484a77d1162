"""The names that `import pacx` offers, and what offering them costs."""

import subprocess
import sys

import pacx


def test_every_exported_name_is_there_and_sorted() -> None:
    assert list(pacx.__all__) == sorted(pacx.__all__)
    assert dir(pacx) == pacx.__all__
    for name in pacx.__all__:
        assert getattr(pacx, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(pacx, "nothing_of_this_name")


def test_importing_pacx_loads_neither_codecs_nor_engines() -> None:
    probe = "import pacx, sys; print(*(m for m in ('numpy', 'PIL', 'pydicom') if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, text=True)
    assert run.stdout.split() == []
