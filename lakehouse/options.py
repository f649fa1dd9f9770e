"""Command-line options for settings: every command takes `--root VALUE` for `LOGINLAKE_ROOT=VALUE`, and so on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from lakehouse.errors import UsageError
from lakehouse.refusals import refusal

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

PANEL = "Settings (also as LOGINLAKE_<NAME> in the environment or in .env)"
# At 80 columns there is room for the longest name only if no type is printed beside it.
NO_METAVAR = " "


class CommandGroup(TyperGroup):
    """A group of commands, whose --help names no type for an option without a value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the group's parameters."""
        return _without_types_of_flags(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command.

        Raises:
            UsageError: One of them is a setting, which is an option of the commands.
        """
        first = args[0].partition("=")[0] if args else ""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        is_unknown = first.startswith("--") and first not in own and not ctx.resilient_parsing
        if is_unknown and any(first in option.opts for option in settings_options()):
            example = f"{ctx.command_path} COMMAND {first}"
            raise UsageError(f"{first} stands before the command", hint=f"Write it after the command: {example}")
        return super().parse_args(ctx, args)


class SettingsCommand(TyperCommand):
    """A command that has an option for every setting, listed by --help in a panel of its own."""

    def __init__(self, *args: Any, help: str | None = None, **others: Any) -> None:  # noqa: A002 (Typer's name)
        """Take the help with one line per paragraph: a line break would stay, wherever the terminal breaks the line."""
        super().__init__(*args, help=help and _one_line_per_paragraph(help), **others)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's own parameters, then one option for each setting."""
        return [*_without_types_of_flags(super().get_params(ctx)), *settings_options()]

    def invoke(self, ctx: Any) -> Any:
        """Run the command after putting the given settings into the environment, where child processes see them too.

        Raises:
            UsageError: A setting has no value, since another option follows it, or a wrong one.
        """
        from lakehouse.settings import WrongSettings

        given = {}
        for option in settings_options():
            value = ctx.params.pop(option.name, None)
            if value is not None:
                given[option.name] = option.opts[0]
                os.environ[f"LOGINLAKE_{option.name.upper()}"] = _text(value, option=option.opts[0])
        try:
            return super().invoke(ctx)
        except WrongSettings as error:
            raise WrongSettings(error.faults, given) from error

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; a value is refused in our own words instead of those of pydantic."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            from pydantic import ValidationError

            if isinstance(error.__cause__, ValidationError):
                error.message = refusal(error.__cause__.errors()[0])
            raise


@cache
def settings_options() -> Sequence[Any]:
    """Return an option for each field of `Settings`; the settings are loaded only when a command is parsed."""
    from lakehouse.settings import Settings

    def settings(**_values: object) -> None: ...

    parameters = [_parameter(name, field) for name, field in Settings.model_fields.items()]
    settings.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    settings.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False)
    app.command()(settings)
    return tuple(typer.main.get_command(app).params)


def option_name(setting: str) -> str:
    """Return the command-line option of a setting: `--topic-partitions` of `topic_partitions`."""
    return f"--{setting.replace('_', '-')}"


def _one_line_per_paragraph(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _without_types_of_flags(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = NO_METAVAR
    return parameters


def _parameter(name: str, field: FieldInfo) -> Parameter:
    default = field.get_default(call_default_factory=True, validated_data={})
    option = typer.Option(
        option_name(name),
        help=f"{field.description} Default: {default}" if default else field.description,
        metavar=NO_METAVAR,
        rich_help_panel=PANEL,
    )
    kind: Any = bool if field.annotation is bool else str
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])


def _text(value: str | bool, *, option: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value.startswith("--"):
        raise UsageError(f"{option} has no value", hint=f"Write {option} VALUE")
    return value
