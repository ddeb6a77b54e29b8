"""When the monitor's jobs run: APScheduler's timetable, due times shared by every monitor, and the heartbeat of processes.
What the jobs do is in `tidegate/monitor_jobs.py`."""
