"""Dask clusters on this machine, for tests."""

from typing import Any

import distributed


def start_cluster(**options) -> distributed.LocalCluster:
    """A scheduler in this process, and its workers, by default here as well: most tests need no process."""
    usual: dict[str, Any] = {"threads_per_worker": 1, "processes": False, "protocol": "tcp"}
    quiet: dict[str, Any] = {"dashboard_address": ":0", "silence_logs": 50}
    return distributed.LocalCluster(**usual | quiet | options)
