"""Work that the clock starts: schedules, their nominal times, and the loop that fires each of them once."""
