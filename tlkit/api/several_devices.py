"""Devices that are asked for, looked for before a command begins."""

from __future__ import annotations

from tlkit.devices import AllDevices, choose_devices
from tlkit.recipes.given import collect_settings
from tlkit.recipes.settings import BackboneSettings


def read_devices(devices: int | str, ray: str | None) -> int | AllDevices:
    """Return a number of devices, or all of them for "all"; they are looked for, so that nothing is begun without them.

    Raises:
        SettingError: It is neither, there are not as many, or `ray` is given, too.
    """
    chosen = collect_settings(BackboneSettings, {"devices": devices}).devices
    if chosen != 1:
        from tlkit.distribution.cluster import check_cluster

        check_cluster(ray, chosen)
    choose_devices(chosen)
    return chosen
