"""The client's public face, and what it stands on."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pacx_client
from pacx_client import AsyncPacxClient, PacxClient


def _public(owner: object) -> set[str]:
    return {name for name in vars(owner) if not name.startswith("_")}


def test_all_that_is_public_is_exported_and_documented() -> None:
    exported = [name for name in pacx_client.__all__ if name != "__version__"]
    assert exported == sorted(exported)
    assert _public(pacx_client) == set(exported)
    documented = [getattr(pacx_client, name) for name in exported]
    assert all(member.__doc__ for member in documented if inspect.isclass(member))


def test_every_module_is_private() -> None:
    modules = {path.stem for path in Path(pacx_client.__file__).parent.glob("*.py")}
    assert all(name.startswith("_") for name in modules)


@pytest.mark.parametrize("name", sorted(_public(PacxClient)))
def test_both_clients_take_the_same_arguments(name: str) -> None:
    ours, theirs = getattr(PacxClient, name), getattr(AsyncPacxClient, name)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert inspect.iscoroutinefunction(theirs)
    assert not inspect.iscoroutinefunction(ours)


@pytest.mark.parametrize(
    ("path", "method"), [("/explanations", PacxClient.explain), ("/predict", PacxClient.predict)]
)
def test_every_parameter_of_the_server_is_an_argument(
    path: str, method: Callable[..., object]
) -> None:
    interface = json.loads((Path(__file__).parents[2] / "openapi.json").read_text("utf-8"))
    parameters = {item["name"] for item in interface["paths"][path]["post"]["parameters"]}
    # The grid of the numbers is a choice between two methods, whose answers differ in type.
    assert parameters - {"grid"} <= set(inspect.signature(method).parameters)


def test_both_clients_offer_the_same() -> None:
    assert _public(PacxClient) == _public(AsyncPacxClient)
    assert inspect.signature(PacxClient) == inspect.signature(AsyncPacxClient)


def test_it_needs_httpx_and_nothing_else() -> None:
    program = (
        "import sys\n"
        "for name in ('numpy', 'pydantic', 'pacx'): sys.modules[name] = None\n"
        "import pacx_client\n"
        "print(pacx_client.__version__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == pacx_client.__version__


def test_a_key_is_not_shown_by_accident() -> None:
    with PacxClient("http://127.0.0.1:1", api_key="secret-key") as client:
        assert "secret-key" not in repr(client)
