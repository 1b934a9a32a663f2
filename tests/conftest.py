"""Settings that all tests share."""

from hypothesis import settings

settings.register_profile("avreward", deadline=None)  # cores are shared: a slow example is not a failing one
settings.load_profile("avreward")
