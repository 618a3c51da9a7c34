"""What a CronJobSpec is, and when it enqueues its job."""
