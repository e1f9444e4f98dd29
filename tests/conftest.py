"""What holds for all tests."""

from hypothesis import HealthCheck, settings

settings.register_profile(  # a slow machine is no failure; nor is a directory that cannot be written to
    "unhurried", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")

pytest_plugins = ["tests.left_out"]
