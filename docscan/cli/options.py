"""The options every command has, and the file that may hold any option."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from docscan.cli.logs import LogFormat
from docscan.errors import SettingsError
from docscan.settings import Settings, unknown_key


def _apply_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the defaults of this command; its tables of settings go to `context.obj`."""
    if path is None or context.resilient_parsing:
        return path
    values = _read_toml(path)
    tables = {field.name for field in fields(Settings)}
    options = _option_names(context)
    defaults: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if isinstance(value, Mapping) and name in tables:
            settings[name] = value
        elif name in options:
            defaults[name] = value
        else:
            raise SettingsError(f"{path}: {unknown_key(key, sorted(options | tables))}")
    Settings.from_mapping(settings)  # a mistake is reported before anything starts
    context.default_map = defaults
    context.obj = settings
    return path


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path}: the configuration cannot be opened ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML ({error})") from error


def _option_names(context: typer.Context) -> set[str]:
    """The options of all commands: one file serves them all."""
    program = context.find_root().command
    commands = getattr(program, "commands", {}).values()
    names = {str(parameter.name) for command in commands for parameter in command.params}
    return names - {"config", "help"}


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", envvar="DOCSCAN_QUIET", help="Print errors only.", rich_help_panel="Output")
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", envvar="DOCSCAN_VERBOSE", help="Say more.", rich_help_panel="Output"),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        envvar="DOCSCAN_LOG_FILE", help="Append a log to this file.", dir_okay=False, rich_help_panel="Output"
    ),
]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option(
        envvar="DOCSCAN_LOG_FORMAT",
        help="Of the log: text for people, or json, an object a line, for programs.",
        rich_help_panel="Output",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="DOCSCAN_CONFIG",
        help="TOML file with options (jobs = 4) and settings ([review] min_confidence = 0.8). "
        "The command line and DOCSCAN_... variables win over it.",
        dir_okay=False,
        is_eager=True,
        callback=_apply_config,
        rich_help_panel="Output",
    ),
]
