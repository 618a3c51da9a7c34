"""Schedules, of CronJobSpecs and made in code: what they are, and when they enqueue their jobs."""
