"""All settings in one typed place: defaults, then `tidegate.toml`, then the environment, then the command line."""

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from monitor.settings import MonitorSettings
from serving.settings import ServingSettings
from store.errors import BadSettings
from store.settings import StoreSettings

FILE = Path("tidegate.toml")


class Settings(BaseSettings):
    """Every room's settings. In the environment a room and a field are joined by two underscores:
    `TIDEGATE_STORE__DATABASE=sqlite:///tidegate.db`.
    """

    model_config = SettingsConfigDict(
        env_prefix="TIDEGATE_", env_nested_delimiter="__", toml_file=FILE, extra="forbid", validate_default=True
    )

    store: StoreSettings = StoreSettings()
    serving: ServingSettings = ServingSettings()
    monitor: MonitorSettings = MonitorSettings()

    def environment_for_child(self) -> dict[str, str]:
        """The environment that gives a process started from here these settings and no others."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        rooms = {"STORE": self.store, "SERVING": self.serving, "MONITOR": self.monitor}
        return inherited | {f"TIDEGATE_{name}": room.model_dump_json() for name, room in rooms.items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**rooms: dict[str, Any]) -> Settings:
    """Load the settings and put the command line's values above them; None there means that nothing was said.

    Raises:
        BadSettings: a value does not fit, or the file can't be read.
    """
    overrides = {
        room: {name: value for name, value in fields.items() if value is not None} for room, fields in rooms.items()
    }
    try:
        return Settings(**{room: fields for room, fields in overrides.items() if fields})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        raise BadSettings(
            f"The setting {field} does not fit: {first['msg']}. `tidegate settings` lists them all."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{FILE} can't be read: {error}.") from error
