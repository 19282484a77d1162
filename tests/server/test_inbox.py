"""Memory through which files reach decoding processes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacx_server.inbox import Inbox
from pacx_server.pieces import Pieces, sha256_of


@given(files=st.lists(st.binary(max_size=20_000), max_size=5))
def test_each_file_arrives_whole_and_nothing_of_the_one_before_stays(files: list[bytes]) -> None:
    inbox = Inbox()
    for file in [*files, b""]:
        inbox.put(file)
        assert bytes(inbox.look(len(file))) == file
        with pytest.raises((ValueError, OSError)):
            inbox.look(len(file) + 1)
    inbox.close()


@given(pieces=st.lists(st.binary(max_size=5_000), max_size=6))
def test_a_file_in_pieces_arrives_joined(pieces: list[bytes]) -> None:
    inbox, file = Inbox(), Pieces(pieces)
    whole = b"".join(pieces)
    inbox.put(file)
    assert bytes(inbox.look(len(file))) == whole
    assert sha256_of(file) == sha256_of(whole)
    inbox.close()


def test_a_closed_one_refuses_files_and_may_be_closed_again() -> None:
    inbox = Inbox()
    inbox.close()
    inbox.close()
    with pytest.raises(OSError, match="descriptor"):
        inbox.put(b"late")
