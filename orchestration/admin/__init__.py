"""The console: Django's admin as the place to see and steer goals from."""
