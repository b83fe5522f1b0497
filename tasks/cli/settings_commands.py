"""Commands on the program's own surroundings."""

from dataclasses import dataclass

from tasks.cli import text
from tasks.cli.command import Group
from tasks.settings import Setting, Settings, describe_settings, find_misspelt_names

_machine = Group("This machine")
GROUPS = (_machine,)


@dataclass(frozen=True)
class SettingsResult:
    """Every variable as it stands here, and what is set under a name that is not known."""

    settings: list[Setting]
    warnings: list[str]


@_machine.command("", written=text.write_settings)
def settings() -> SettingsResult:
    """Print every environment variable with its value here and its default."""
    return SettingsResult(describe_settings(Settings()), find_misspelt_names())
