"""The factory of the console: one Flask app for pages, live updates and the REST API.

Owns the order in which the parts are put together. Each part installs itself and knows nothing of the others.
"""

from __future__ import annotations

from apiflask import APIFlask
from fettle_server.config import Settings

from fettle_web import api, assets, auth, headers, live, observed, pages, security, store, words


def create_app(settings: Settings) -> APIFlask:
    """The app for one store: `auth` first, so that nothing is answered to somebody who is not signed in."""
    app = APIFlask(
        "fettle_web", title="Fettle", version="1", docs_path=None, spec_path=None, json_errors=False, **assets.place()
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = assets.YEAR_S
    store.install(app, settings)
    observed.install(app, settings)
    headers.install(app)
    security.install(app, settings)
    auth.install(app)
    words.install(app)
    pages.install(app)
    live.install(app)
    api.install(app)
    return app
