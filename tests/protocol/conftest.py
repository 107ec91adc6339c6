"""Settings for the property tests of what both sides share."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fettle", deadline=None)  # a busy machine is no failure
settings.load_profile("fettle")
