"""Every setting is a flag of every command, too: `--root s3://lake` is `LOGINLAKE_ROOT=s3://lake`."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence

from lakehouse.errors import UsageError

# After it stands no flag, whatever it looks like.
END_OF_FLAGS = "--"


def take_settings_flags(arguments: Sequence[str], environment: MutableMapping[str, str]) -> list[str]:
    """Moves the flags that are settings into the environment, where child processes see them as well.

    Args:
        arguments: The command line, without the program's name.
        environment: Receives `LOGINLAKE_<NAME>` for each such flag.

    Returns:
        The other arguments, in their order.

    Raises:
        UsageError: A flag has no value.
    """
    if _names_no_setting(arguments):
        return list(arguments)
    from lakehouse.settings import Settings

    names = {f"--{name.replace('_', '-')}": f"LOGINLAKE_{name.upper()}" for name in Settings.model_fields}
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag == END_OF_FLAGS:
            return [*rest, argument, *remaining]
        if flag in names:
            environment[names[flag]] = value if equals else _next_value(flag, remaining)
        else:
            rest.append(argument)
    return rest


def _names_no_setting(arguments: Sequence[str]) -> bool:
    """True where that is plain without loading the settings, which takes longer than printing help."""
    flags = {argument for argument in arguments if argument.startswith("--")}
    return flags <= {"--help"} or arguments == ["--version"]


def _next_value(flag: str, remaining: Iterator[str]) -> str:
    value = next(remaining, END_OF_FLAGS)
    if value.startswith("--"):
        raise UsageError(f"{flag} has no value", hint=f"Give it one: {flag} VALUE")
    return value
