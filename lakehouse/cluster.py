"""A standalone Spark cluster, as a driver sees it before Spark starts."""

from __future__ import annotations

from lakehouse.addresses import is_listening
from lakehouse.errors import ClusterFailed
from lakehouse.settings import Settings

STANDALONE = "spark://"


def require_master(settings: Settings) -> None:
    """Raise if no master of a standalone cluster listens: Spark would try for a minute, and end without a reason.

    Raises:
        ClusterFailed: No master listens.
    """
    masters = settings.spark_master
    if not masters.startswith(STANDALONE):
        return
    addresses = (master.rpartition(":") for master in masters.removeprefix(STANDALONE).split(","))
    if not any(port.isdigit() and is_listening(host, int(port)) for host, _, port in addresses):
        raise ClusterFailed(
            f"No Spark master listens at {masters}", hint="Start it, or correct LOGINLAKE_SPARK_MASTER", master=masters
        )
