"""What goes wrong in production, on purpose: connections cut and slowed, disks full, clocks askew, by a seeded plan."""

from backing_services.faults.clock_skew import skewed
from backing_services.faults.proxies import Proxy, Toxiproxy
from backing_services.faults.schedule import Fault, Planned, planned, play
from backing_services.faults.small_disk import SmallDisk
from backing_services.faults.unavailable import FaultError

__all__ = ["Fault", "FaultError", "Planned", "Proxy", "SmallDisk", "Toxiproxy", "planned", "play", "skewed"]
