"""A queue that is fair between callers: oldest first within a key, keys in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Queued(Protocol):
    """What the queue needs to know about an element."""

    @property
    def key(self) -> str:
        """The caller that it belongs to."""
        ...

    @property
    def size_bytes(self) -> int:
        """What it holds in memory."""
        ...


Element = TypeVar("Element", bound=Queued)


class FairQueue(Generic[Element]):
    """Elements by key; ``pop`` takes one of each key in turn, so that no key starves another.

    Every operation costs O(1), also taking out an element whose caller has gone.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, dict[int, Element]] = {}
        self._length = 0
        self._size_bytes = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Element]:
        for elements in self._by_key.values():
            yield from elements.values()

    @property
    def size_bytes(self) -> int:
        """Sum over all elements."""
        return self._size_bytes

    def push(self, element: Element) -> None:
        """Append an element to its key's line; a new key's turn comes last."""
        self._by_key.setdefault(element.key, {})[id(element)] = element
        self._length += 1
        self._size_bytes += element.size_bytes

    def discard(self, element: Element) -> None:
        """Take an element out, wherever it stands; nothing happens if it is not there."""
        line = self._by_key.get(element.key, {})
        if line.pop(id(element), None) is None:
            return
        self._length -= 1
        self._size_bytes -= element.size_bytes
        if not line:
            del self._by_key[element.key]

    def pop(self) -> Element:
        """Take the oldest element of the key whose turn it is, and end that key's turn.

        Raises:
            IndexError: The queue is empty.
        """
        if not self._by_key:
            raise IndexError("the queue is empty")
        key = next(iter(self._by_key))
        element = next(iter(self._by_key[key].values()))
        self.discard(element)
        if key in self._by_key:
            self._by_key[key] = self._by_key.pop(key)
        return element
