"""What starts work without anybody asking: schedules that are due, and events that a workflow waits for."""
