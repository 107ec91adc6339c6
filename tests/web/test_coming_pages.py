"""Tasks and forecasts in the console and the API: shown, filtered, done and undone, with hostile names as text."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server import clock
from fettle_server.estate.people.rules import Role
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.forecasts import nightly
from fettle_server.proactive.forecasts.tables import Forecast
from fettle_server.proactive.maintenance import actions as maintenance
from fettle_server.proactive.maintenance.rules import Task
from fettle_server.proactive.maintenance.tables import MaintenanceTask
from fettle_web.pages.projections import Landing, ahead

NOW = clock.utc_now()
HOSTILE = "<script>alert(1)</script>"
PC = "1" * 32


@pytest.fixture
def tom(console):
    """A technician's browser, with one task and one forecast to see."""
    console.person("tom", Role.TECHNICIAN)
    day = nightly.day_of(NOW)
    past = [[day - age, 10.0 + age] for age in range(20, 0, -1)]
    with console.begin() as tx:
        maintenance.propose(tx, Task("battery", "b/1", f"Replace {HOSTILE}", HOSTILE, 1, None, None, NOW.date()), NOW)
        pk = tx.scalar(sa.select(Endpoint.pk).where(Endpoint.id == PC))
        tx.execute(
            sa.insert(Forecast).values(
                endpoint_pk=pk, school_id=1, rule="disk-will-fill", instance=HOSTILE, made_on=nightly.date_of(day - 1),
                value=9.0, low=6.0, high=14.0, sure_percent=86, sentence=f"Disk {HOSTILE} will be full in 9 days", since_ms=0,
                phase="raised", detail={"past": past, "unit": "GB", "target": 0.0}, due_at=NOW + dt.timedelta(days=9),
                seen_ms=0, is_raised=True, is_told=True,
            )
        )  # fmt: skip
    return console.client("tom")


def text(tom, path):
    answer = tom.get(path)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_a_task_is_done_with_one_tap_and_undone_with_another(console, tom):
    assert HOSTILE not in text(tom, "/proactive/tasks")
    done = tom.post("/proactive/tasks/1/done", {"address": "/proactive/tasks?due=week"})
    assert done.headers["Location"].endswith("/proactive/tasks?due=week&done=1")
    page = text(tom, "/proactive/tasks?done=1")
    assert "Done: Replace &lt;script&gt;" in page
    assert "Undo" in page
    tom.post("/proactive/tasks/1/undo", {"address": "/proactive/tasks"})
    assert console.value(sa.select(MaintenanceTask.state)) == "open"


def test_what_is_coming_is_shown_as_text_and_as_a_file(console, tom):
    for path in ("/proactive/forecasts", "/proactive/forecasts?rule=disk-will-fill&q=full&school=1"):
        page = text(tom, path)
        assert HOSTILE not in page
        assert "Disk &lt;script&gt;alert(1)&lt;/script&gt; will be full in 9 days" in page
    assert "disk-will-fill" in text(tom, "/proactive/forecasts?form=csv")
    assert "battery" in text(tom, "/proactive/tasks?form=csv")


def test_a_filter_that_fits_nothing_says_so(console, tom):
    assert "No forecast fits" in text(tom, "/proactive/forecasts?q=nothing-is-called-that")
    assert "No task fits" in text(tom, "/proactive/tasks?kind=cleaning")


def test_a_warranty_is_kept_on_the_page_and_by_the_api(console, tom):
    tom.post(f"/pcs/{PC}/warranty", {"ends_on": "2030-08-31"})
    assert "2030-08-31" in text(tom, f"/pcs/{PC}")
    answer = tom.flask.get(f"/api/v1/endpoints/{PC}/forecasts", headers=console.token("tom", Role.TECHNICIAN)).json
    assert [(one["rule"], one["state"]) for one in answer["forecasts"]] == [("warranty-ending", "coming")]


def test_the_api_lists_tasks_and_forecasts(console, tom):
    headers = console.token("tom", Role.TECHNICIAN)
    tasks = console.app.test_client().get("/api/v1/tasks?due_by=2040-01-01", headers=headers).json
    assert [(one["kind"], one["due"]) for one in tasks["tasks"]] == [("battery", "today")]
    forecasts = console.app.test_client().get("/api/v1/forecasts", headers=headers).json
    assert [(one["value"], one["low"], one["high"], one["sure_percent"]) for one in forecasts["forecasts"]] == [(9, 6, 14, 86)]


def test_a_projection_is_drawn_with_its_band():
    past = [(day, 40.0 - day) for day in range(31)]
    drawn = ahead(past, Landing(0.0, 40, 36, 47))
    assert drawn.past.startswith("M0 ")
    assert drawn.band.endswith("Z")
    assert drawn.target_y is not None
    assert ahead(past, None).likely == ""
    assert ahead(past[:1], None) is None
