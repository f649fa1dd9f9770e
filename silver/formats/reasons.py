"""The reasons why a record is ignored or broken, each a code with its verdict and meaning."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class Reason(StrEnum):
    """A code of the column `reason`.

    Attributes:
        verdict: The verdict of a record with this reason.
        meaning: One sentence for the reader of a row.
    """

    verdict: Literal["ignored", "broken"]
    meaning: str

    def __new__(cls, code: str, verdict: Literal["ignored", "broken"], meaning: str) -> Reason:
        """Return a member whose value is the code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.verdict = verdict
        member.meaning = meaning
        return member

    NOT_A_LOGIN = ("not_a_login", "ignored", "Well-formed, but not about a login, logout, lockout or probe.")
    OTHER_PROGRAM = ("other_program", "ignored", "A syslog line of another program than sshd.")
    NOT_AN_ATTEMPT = ("not_an_attempt", "ignored", "The client asked which methods there are (`Failed none`).")
    SAME_ATTEMPT = ("same_attempt", "ignored", "An earlier line of the connection has reported this attempt.")
    REPEATED_LINE = ("repeated_line", "ignored", "Reports that the line before was repeated, without quoting it.")
    EMPTY_RECORD = ("empty_record", "broken", "The record has no value, or only white space.")
    UNKNOWN_FORMAT = ("unknown_format", "broken", "The header `format` is not a known format.")
    BAD_HEADER = ("bad_header", "broken", "The header `year` or `occurrence` is not a number.")
    NOT_UTF8 = ("not_utf8", "broken", "The bytes are not UTF-8.")
    NOT_JSON = ("not_json", "broken", "The text is not one JSON value.")
    TOO_DEEP = ("too_deep", "broken", "The JSON is nested deeper than 64 levels.")
    NOT_AN_OBJECT = ("not_an_object", "broken", "The JSON value is not an object.")
    NOT_SYSLOG = ("not_syslog", "broken", "The line is not a syslog line: stamp, host, message.")
    UNREADABLE_OUTCOME = ("unreadable_outcome", "broken", "The line reports an outcome in a form that can't be read.")
    MISSING_FIELD = ("missing_field", "broken", "A required field is absent or null.")
    WRONG_TYPE = ("wrong_type", "broken", "A field has another JSON type than documented.")
    BAD_VALUE = ("bad_value", "broken", "A field has the right type but a value that is not allowed.")
    BAD_ADDRESS = ("bad_address", "broken", "The source is neither an IP address nor a host name.")
    BAD_TIME = ("bad_time", "broken", "The instant does not exist, is not RFC 3339, or has no time zone.")
    IMPLAUSIBLE_TIME = ("implausible_time", "broken", "The instant lies too long before or after the append time.")
