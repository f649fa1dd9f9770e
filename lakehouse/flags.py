"""Every setting is a flag of every command, too: `--root s3://lake` is `LOGINLAKE_ROOT=s3://lake`."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

from lakehouse.errors import UsageError


def take_settings_flags(arguments: Sequence[str], environment: MutableMapping[str, str]) -> list[str]:
    """Moves the flags that are settings into the environment, where child processes see them as well.

    Args:
        arguments: The command line, without the program's name.
        environment: Receives `LOGINLAKE_<NAME>` for each such flag.

    Returns:
        The other arguments, in their order.

    Raises:
        UsageError: A flag stands at the end, without its value.
    """
    if not any(argument.startswith("--") for argument in arguments) or "--help" in arguments:
        return list(arguments)  # without loading the settings, which takes longer than printing help
    from lakehouse.settings import Settings

    names = {f"--{name.replace('_', '-')}": f"LOGINLAKE_{name.upper()}" for name in Settings.model_fields}
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag not in names:
            rest.append(argument)
            continue
        given = value if equals else next(remaining, None)
        if given is None:
            raise UsageError(f"{flag} has no value", mend=f"Give it one: {flag} VALUE")
        environment[names[flag]] = given
    return rest
