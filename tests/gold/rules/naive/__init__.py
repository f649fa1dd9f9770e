"""The rules a second time: plain loops, written from the descriptions of the rules and their thresholds.

They share no code with the rules, except the positions of countries and sets of addresses, so that each can be checked
against the other.
"""

from __future__ import annotations

from tests.gold.rules.naive.detections import detections_of

__all__ = ["detections_of"]
