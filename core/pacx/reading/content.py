"""The bytes of a file, in memory of this process or mapped from elsewhere."""

from __future__ import annotations

import mmap
from typing import TypeAlias

Content: TypeAlias = bytes | mmap.mmap
"""Slices of both are ``bytes``; a mapped file is read where it lies."""
