"""`loginlake doctor`: checks of this machine and the settings; each finding has a hint how to fix it."""

from __future__ import annotations

import platform

from lakehouse.conf import conf_folder
from lakehouse.errors import UsageError
from lakehouse.jars import job_groups
from lakehouse.settings import load_settings
from loginlake.doctor.finding import Finding, State, failed
from loginlake.doctor.installation import JARS_OF_PACKAGES, check_jars, check_java, check_package, check_rules
from loginlake.doctor.lake import check_disks, check_lake, check_locks
from loginlake.doctor.servers import check_api, check_cluster, check_kafka, check_store


def diagnose() -> list[Finding]:
    """Run all checks and return their findings; nothing is started, fetched or written."""
    python = Finding("python", State.OK, platform.python_version())
    try:
        settings = load_settings()
        conf_folder(settings)
    except UsageError as error:
        return [python, check_java(), failed("settings", error)]
    return [
        python,
        check_java(),
        Finding("settings", State.OK, f"lake at {settings.root}, state at {settings.state}"),
        check_rules(settings),
        *(check_package(settings, name) for name in JARS_OF_PACKAGES),
        *(check_jars(settings, group) for group in (*job_groups(settings), "broker")),
        *check_store(settings),
        *check_cluster(settings),
        *check_locks(settings),
        *check_kafka(settings),
        check_api(settings),
        *check_disks(settings),
        *check_lake(settings),
    ]
