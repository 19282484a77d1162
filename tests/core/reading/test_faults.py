"""What the reader answers to bad files, and what it costs to find out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial

import pytest

from pacx.errors import InputError
from pacx.reading import ReadingLimits, read
from tests.hostile_files import FAULTS, Fault, deflate_bomb, many_elements, nested_sequences

deep = partial(nested_sequences, 5000)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.row}-{fault.name}")
def test_a_bad_file_gets_the_answer_it_deserves(fault: Fault) -> None:
    with pytest.raises(InputError) as raised:
        read(fault.build())
    assert raised.value.code in fault.codes
    assert raised.value.detail.endswith((".", ")"))


@pytest.mark.parametrize("build", [deflate_bomb, many_elements, deep])
def test_a_bomb_takes_no_more_memory_than_its_limit(build: Callable[[], bytes]) -> None:
    bomb = build()
    tracemalloc.start()
    with pytest.raises(InputError):
        read(bomb)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1.1 * ReadingLimits().inflated_bytes
