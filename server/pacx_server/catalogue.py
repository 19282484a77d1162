"""The models that are being served, by name, and their replacement without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import structlog

from pacx.errors import NotReady, PacxError, ReloadRefused, SettingsError, UnknownModel
from pacx_server.serving import ServedModel, open_served
from pacx_server.settings import Settings
from pacx_server.telemetry import Telemetry

log = structlog.get_logger("pacx.models")


class Catalogue:
    """All served models; the first bundle of the settings is the default."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._models: dict[str, ServedModel] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(tuple(self._models.values()))

    async def load(self) -> None:
        """Load every bundle of the settings.

        Raises:
            SettingsError: Two bundles have the same name.
            BundleError: A bundle is missing or damaged.
            EngineError: A bundle cannot run here.
        """
        opened: list[ServedModel] = []
        try:
            for source in self._settings.bundles:
                opened.append(await open_served(source, self._settings, self._telemetry))
                _check_names(opened)
        except BaseException:
            for served in opened:
                self._retire(served)
            raise
        for served in opened:
            self._telemetry.announce(served.identity, served=True)
        self._models = {served.identity.name: served for served in opened}

    def get(self, name: str | None) -> ServedModel:
        """Find a model; without a name, the default one.

        Raises:
            NotReady: No model is loaded yet.
            UnknownModel: No model of that name is served.
        """
        if not self._models:
            raise NotReady("The models are being loaded.", retry_after_s=1)
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise UnknownModel(f"Served models: {', '.join(self._models)}.")
        return self._models[name]

    async def reload(self, name: str) -> ServedModel:
        """Load a bundle again, verify it, warm it up, and only then let it take over.

        Raises:
            UnknownModel: No model of that name is served.
            ReloadRefused: The new version cannot be served; the old one goes on.
        """
        async with self._reloading:
            old = self.get(name)
            try:
                new = await self._reopen(old)
            except PacxError as error:
                self._telemetry.reloads.labels("refused").inc()
                log.error("a reload was refused", model=old.label, reason=error.detail)
                raise ReloadRefused(error.detail) from error
            self._models[name] = new
            self._telemetry.announce(old.identity, served=False)
            self._telemetry.announce(new.identity, served=True)
            self._telemetry.reloads.labels("ok").inc()
            log.info("a model was reloaded", before=old.label, now=new.label)
            self._retire(old)
            return new

    async def reload_all(self) -> None:
        """Reload every model; one that cannot be reloaded stays as it is."""
        for name in list(self._models):
            try:
                await self.reload(name)
            except PacxError:
                continue

    async def close(self) -> None:
        """Free every model, those that were replaced too."""
        for served in self:
            self._retire(served)
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def _reopen(self, old: ServedModel) -> ServedModel:
        new = await open_served(old.source, self._settings, self._telemetry)
        if new.identity.name != old.identity.name:
            await new.retire()
            raise SettingsError("The bundle in this place now has another name.")
        return new

    def _retire(self, served: ServedModel) -> None:
        task = asyncio.get_running_loop().create_task(served.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


def _check_names(models: list[ServedModel]) -> None:
    *others, last = (served.identity.name for served in models)
    if last in others:
        raise SettingsError(f"Two bundles are called {last}.")
