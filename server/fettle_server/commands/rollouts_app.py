"""The group `fettle rollout`: rollouts.py adds how rollouts go, signing.py how their manifests are signed.

`rollouts` is the group's module in __main__.MODULES and imports `signing` for its commands.
"""

from __future__ import annotations

import typer

rollout_app = typer.Typer(no_args_is_help=True, help="Rollouts: how a change is carried out.")
