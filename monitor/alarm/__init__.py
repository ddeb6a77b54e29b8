"""Has production changed? Alarms that keep a promise about time, the budget they share, and how soon they would notice."""

from monitor.alarm.sequential import SequentialAlarm, bin_counts

__all__ = ["SequentialAlarm", "bin_counts"]
