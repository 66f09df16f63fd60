"""The worker process that owns the device and judges images, and the supervisor's handle on it."""
