"""What goes wrong in production, on purpose: connections cut and slowed, disks full, clocks askew, by a seeded plan."""

from testkit.faults.clock_skew import skewed
from testkit.faults.proxies import Proxy, Toxiproxy
from testkit.faults.schedule import Fault, Planned, planned, play
from testkit.faults.small_disk import SmallDisk
from testkit.faults.unavailable import FaultError

__all__ = ["Fault", "FaultError", "Planned", "Proxy", "SmallDisk", "Toxiproxy", "planned", "play", "skewed"]
