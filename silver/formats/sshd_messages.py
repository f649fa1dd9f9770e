"""What sshd's messages report: a login with its outcome, a probe, a lockout or a logout, of whom and from where.

The client chooses the user name, the id of a certificate and the names in a host-based login, so these may imitate the
rest of a message. A source is therefore read by looking at every place of the message that could name one: the source
is what the only well-formed reading names. If two readings are well-formed, there is no source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from silver.formats.sources import source_of

# What sshd or the system writes where it can't or won't name the client's address (macOS writes <private>).
NO_ADDRESS = ("UNKNOWN", "<private>")
AMBIGUOUS = "Two sources fit, one of them is text that the client chose"

_INVALID = r"(?P<invalid>(?:invalid|illegal) user )?"
_PREAUTH = r"(?: \[preauth\])?"
_END = re.compile(_PREAUTH)
# `RSA SHA256:…`, or a certificate with an id that the client chose: `RSA-CERT SHA256:… ID x (serial 1) CA RSA …`; old
# releases write no fingerprint before the id.
_TYPE = r"(?:[A-Z][A-Z0-9]*|ECDSA-SK|ED25519-SK)"
_CERTIFICATE = rf"{_TYPE}-CERT(?:-V00)?"
_KEY = rf"(?:{_TYPE} \S+|{_CERTIFICATE} (?:\S+ )?ID .* \(serial \d+\) CA {_TYPE} \S+)"
_KEY_TAIL = re.compile(rf'(?:: {_KEY}(?:, client user ".*", client host ".*")?)?{_PREAUTH}', re.DOTALL)
# sshd cuts a message at 500 bytes for syslog and at 1,023 otherwise, and rsyslog a repeated one at 800: this may be
# within the id of a certificate or the names in a host-based login.
CUT_AT = (500, 800, 1_023)
_CUT_KEY_TAIL = re.compile(rf': (?:{_CERTIFICATE} .*|{_TYPE} \S+, client user ".*)', re.DOTALL)
LEAST_CUT_CHARACTERS = 400
CUT = "The message may be cut within the source"
_PRINCIPAL_TAIL = re.compile(rf"(?:: \S+)?{_PREAUTH}")
_TAILS = {"publickey": _KEY_TAIL, "hostbased": _KEY_TAIL}
_LEFT_TAILS = {
    "Disconnecting": re.compile(r": .*", re.DOTALL),
    "Connection from": re.compile(rf" timed out{_PREAUTH}|: .*", re.DOTALL),
}
_PAM_TAIL = re.compile(rf"(?: via \S+)?{_PREAUTH}")
# sshd cuts names at 100 characters; longer texts are not searched for several readings.
MOST_CHARACTERS = 4_096

_FROM = re.compile(r" from (?P<source>\S+)(?: port (?P<port>\d{1,5}))?(?: ssh[12])?", re.ASCII)
# A line that was cut within ` port 22 ssh2`: the source is whole, for a blank follows it.
_CUT_TAIL = re.compile(r" (?:p(?:o(?:r(?:t ?)?)?)?|s(?:s(?:h)?)?)?")
_AT_PORT = re.compile(r" (?P<source>\S+) port (?P<port>\d{1,5})", re.ASCII)

LOGIN = re.compile(rf"(?P<outcome>Accepted|Failed) (?P<method>\S+) for {_INVALID}(?P<rest>.*)", re.ASCII | re.DOTALL)
PROBE = re.compile(r"(?:Invalid|Illegal) user (?P<rest>.*)", re.DOTALL)
# A client that offers keys only, or leaves before it is asked for a password.
_LEAVES = (
    r"(?:(?:fatal: )?ssh_dispatch_run_fatal: )?"
    r"(?P<how>Connection (?:closed by|reset by|from)|Disconnected from|Disconnecting) authenticating user"
)
LEFT = re.compile(rf"{_LEAVES}(?P<rest> .*)", re.DOTALL)
LOCKOUT = re.compile(
    rf"(?:error: )?maximum authentication attempts exceeded for {_INVALID}(?P<rest>.*)", re.ASCII | re.DOTALL
)
# Linux-PAM writes a capital at the start, OpenPAM (FreeBSD, macOS) does not. One text has the word `for`.
_PAM_ERROR = (
    r"(?:error: )?PAM: (?P<error>Have exhausted maximum number of retries for service|[A-Za-z][\w ,;'-]*?) for "
)
PAM_ERROR = re.compile(rf"{_PAM_ERROR}{_INVALID}(?P<rest>.*)", re.ASCII | re.DOTALL)
DENIED = re.compile(r"User (?P<user>.*) from (?P<source>\S+) not allowed because (?P<why>.*)", re.ASCII | re.DOTALL)
DENIED_WITHOUT_SOURCE = re.compile(
    r"(?:User (?P<user>.*) not allowed because "
    r"(?P<why>account is locked|shell \S+ (?:does not exist|is not executable))"
    r"|Account (?P<account>.*) has expired"
    rf"|(?:fatal: )?Access denied for user (?P<name>.*) by PAM account configuration){_PREAUTH}",
    re.DOTALL,
)
ROOT_REFUSED = re.compile(rf"ROOT LOGIN REFUSED FROM (?P<source>\S+)(?: port (?P<port>\d{{1,5}}))?{_PREAUTH}", re.ASCII)
LOGOUT = re.compile(r"pam_unix\(sshd:session\): session closed for user (?P<user>.*)", re.DOTALL)
# Begins like a message that reports an outcome.
REPORTS_OUTCOME = re.compile(
    r"(?:error: |fatal: )?(?:"
    r"(?:Accepted|Failed) (?:password|publickey|none|hostbased|keyboard-interactive|gssapi|\S+ for )"
    r"|(?:Invalid|Illegal) user |maximum authentication attempts exceeded|PAM: [A-Za-z][\w ,;'-]* for "
    r"|User .* not allow|Account .* has expired|Access denied for user |ROOT LOGIN REFUSED"
    rf"|{_LEAVES} )",
    re.DOTALL,
)
# By the text of Linux-PAM, OpenPAM, Solaris or HP-UX in lower case.
PAM_REASONS = {
    "authentication failure": "invalid_credentials",
    "authentication error": "invalid_credentials",
    "authentication failed": "invalid_credentials",
    "user not known to the underlying authentication module": "unknown_user",
    "unknown user": "unknown_user",
    "user account has expired": "account_disabled",
    "authentication token expired": "password_expired",
    "authentication token is no longer valid; new one required": "password_expired",
    "new authentication token required": "password_expired",
    "permission denied": "denied_by_policy",
    "maximum number of retries exhausted": "too_many_attempts",
    "maximum number of tries exceeded": "too_many_attempts",
    "have exhausted maximum number of retries for service": "too_many_attempts",
}


class Report(NamedTuple):
    """What one message of sshd reports, except the host and the time.

    Attributes:
        action: login, probe, lockout or logout.
        outcome: Of a login.
        failure_reason: Of a failure or a probe, as `silver.events` has it.
        username: As the client gave it.
        source: The address or host name as the message has it; None if the message has none, or more than one.
        port: Its port.
        method: How the client authenticated.
        detail: Why there is no source, if the message names two.
    """

    action: str
    outcome: str | None
    failure_reason: str | None
    username: str | None
    source: str | None = None
    port: int | None = None
    method: str | None = None
    detail: str | None = None


class _Origin(NamedTuple):
    """The user, source and port of one reading of a message."""

    username: str
    source: str | None
    port: int | None
    detail: str | None = None


def read_message(message: str) -> Report | None:
    """Return what a message of sshd reports; None for one that reports nothing, or in a form that can't be read."""
    for read in (_login, _probe, _left, _lockout, _denial, _pam_error, _logout):
        report = read(message)
        if report is not None:
            return _whole(report, message) if len(message) in CUT_AT else report
    return None


def _whole(report: Report, message: str) -> Report:
    """Return the report without a source or a port that ends with a cut message: the rest of it may be lost."""
    if report.port is not None and message.endswith(f" {report.port}"):
        return report._replace(port=None)
    is_cut = report.source is not None and message.endswith(f" {report.source}")
    return report._replace(source=None, detail=CUT) if is_cut else report


def is_first_question(message: str) -> bool:
    """Return True for `Failed none`: the client asked which methods there are, and did not try to log in."""
    return message.startswith("Failed none for ")


def _login(message: str) -> Report | None:
    found = LOGIN.fullmatch(message)
    if found is None:
        return None
    method = found["method"]
    tail = _TAILS.get(method, _PRINCIPAL_TAIL if method.startswith("gssapi") else _END)
    origin = _origin(found["rest"], _FROM, tail=tail)
    if origin is None:
        return None
    if found["outcome"] == "Accepted":
        # sshd writes "invalid user" for failures alone: here it is a part of the name.
        name = f"{found['invalid'] or ''}{origin.username}"
        return Report("login", "success", None, *origin._replace(username=name)[:3], method, origin.detail)
    reason = "unknown_user" if found["invalid"] else "invalid_credentials"
    return Report("login", "failure", reason, *origin[:3], method, origin.detail)


def _probe(message: str) -> Report | None:
    return _without_outcome("probe", PROBE.fullmatch(message), reason="unknown_user")


def _left(message: str) -> Report | None:
    found = LEFT.fullmatch(message)
    if found is None:
        return None
    origin = _origin(found["rest"], _AT_PORT, tail=_LEFT_TAILS.get(found["how"], _END))
    if origin is None:
        return None
    return Report("probe", None, None, origin.username.removeprefix(" "), *origin[1:3], detail=origin.detail)


def _lockout(message: str) -> Report | None:
    return _without_outcome("lockout", LOCKOUT.fullmatch(message), reason="too_many_attempts")


def _without_outcome(action: str, found: re.Match[str] | None, *, reason: str) -> Report | None:
    """Return the report of a message that names user, source and port, but no outcome of a login."""
    origin = _origin(found["rest"], _FROM, tail=_END) if found else None
    return Report(action, None, reason, *origin[:3], detail=origin.detail) if origin else None


def _pam_error(message: str) -> Report | None:
    found = PAM_ERROR.fullmatch(message)
    origin = _origin(found["rest"], _FROM, tail=_PAM_TAIL) if found else None
    if found is None or origin is None:
        return None
    reason = "unknown_user" if found["invalid"] else PAM_REASONS.get(found["error"].lower(), "other")
    return Report("login", "failure", reason, *origin[:3], "keyboard-interactive/pam", origin.detail)


def _denial(message: str) -> Report | None:
    if found := DENIED.fullmatch(message):
        source = None if found["source"] in NO_ADDRESS else found["source"]
        return Report("login", "failure", _denial_reason(found["why"]), found["user"], source)
    if found := DENIED_WITHOUT_SOURCE.fullmatch(message):
        user = next(name for name in (found["user"], found["account"], found["name"]) if name is not None)
        return Report("login", "failure", _denial_reason(found["why"] or ""), user)
    if found := ROOT_REFUSED.fullmatch(message):
        has_address = found["source"] not in NO_ADDRESS
        source, port = (found["source"], _port(found["port"])) if has_address else (None, None)
        return Report("login", "failure", "denied_by_policy", "root", source, port)
    return None


def _denial_reason(why: str) -> str:
    return "account_locked" if why == "account is locked" else "denied_by_policy"


def _logout(message: str) -> Report | None:
    found = LOGOUT.fullmatch(message)
    return Report("logout", None, None, found["user"]) if found else None


def _origin(text: str, place: re.Pattern[str], *, tail: re.Pattern[str]) -> _Origin | None:
    """Return user, source and port of the only well-formed reading; if several are well-formed, no source and no port.

    Args:
        text: From the user name to the end of the message.
        place: What names a source.
        tail: What may follow that place up to the end.
    """
    if tail is not _END and len(text) > MOST_CHARACTERS:
        return _Origin("", None, None, AMBIGUOUS)
    fitting = _readings(text, place, tail=tail)
    # sshd writes an address or a host name; what is neither is text that the client chose, if there is another place.
    named = [found for found in fitting if _names_source(found["source"])]
    if len(named) > 1:
        return _Origin("", None, None, AMBIGUOUS)
    found = next(iter(named or fitting), None) or _cut(text, place)
    if found is None:
        return None
    has_address = found["source"] not in NO_ADDRESS
    return _Origin(
        text[: found.start()], found["source"] if has_address else None, _port(found["port"]) if has_address else None
    )


def _readings(text: str, place: re.Pattern[str], *, tail: re.Pattern[str]) -> list[re.Match[str]]:
    """Return the places of a text that may name its source: those that only a tail follows.

    If the text may be cut within the tail of an earlier place, every place of a source counts, since the client may
    have chosen what stands after it.
    """
    fitting = [found for found in _places(text, place) if tail.fullmatch(text, found.end())]
    if tail is not _KEY_TAIL or len(text) < LEAST_CUT_CHARACTERS:
        return fitting
    before = fitting[0].start() if fitting else len(text)
    named = [found for found in _places(text, place) if _names_source(found["source"])]
    is_cut = any(found.start() < before and _CUT_KEY_TAIL.fullmatch(text, found.end()) for found in named)
    return named if is_cut else fitting


def _places(text: str, place: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Yield every place of the text that could name a source, overlapping ones included."""
    found = place.search(text)
    while found is not None:
        yield found
        found = place.search(text, found.start() + 1)


def _cut(text: str, place: re.Pattern[str]) -> re.Match[str] | None:
    """Return the place in a message that was cut after its source; None if the source itself may be cut."""
    last = max(_places(text, place), key=lambda found: found.start(), default=None)
    if last is None or not _CUT_TAIL.fullmatch(text, last.end()) or not _names_source(last["source"]):
        return None
    return last


def _names_source(text: str) -> bool:
    return text in NO_ADDRESS or source_of(text) is not None


def _port(text: str | None) -> int | None:
    """Return the number as a port; None if it is missing or above 65,535."""
    return int(text) if text is not None and int(text) <= 65_535 else None
