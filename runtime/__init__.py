"""Runtime: the processes that host actors. The top folder, and the only place that wires."""
