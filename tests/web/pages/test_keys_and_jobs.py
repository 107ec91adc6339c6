"""Approvers' keys, signatures brought back, and the story of a job, on their pages."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_protocol import signing
from fettle_protocol.manifests import Target
from fettle_server import clock
from fettle_server.change.jobs import actions as jobs
from fettle_server.change.jobs.rules import Report, Told
from fettle_server.change.jobs.tables import Job
from fettle_server.change.manifests import actions, queries
from fettle_server.change.manifests.rules import Purpose, SigningError, Wanted
from fettle_server.change.manifests.signing_file import signature_line
from fettle_server.estate.people.rules import SYSTEM

DAY = dt.timedelta(days=1)
HOSTILE = "<script>alert(1)</script>\nE: dpkg was interrupted"


def test_a_key_is_trusted_retired_and_never_again(staffed):
    ada, public = staffed.client("ada"), signing.public_bytes(signing.new_key())
    form = {"name": "Ada <b>", "public": signing.public_pem(public).decode()}
    assert ada.post("/settings/keys", form).status_code == 303
    assert "Ada &lt;b&gt;" in ada.get("/settings/keys").get_data(as_text=True)
    key_id = signing.key_id(public)
    assert ada.post(f"/settings/keys/{key_id}/retire", {"why": "lost"}).status_code == 303
    again = ada.post("/settings/keys", form)
    assert again.status_code == 409
    assert "a retired key does not come back" in again.get_data(as_text=True)


def test_a_private_key_is_refused_with_what_to_give_instead(staffed):
    answer = staffed.client("ada").post(
        "/settings/keys", {"name": "Ada", "public": signing.private_pem(signing.new_key()).decode()}
    )
    assert answer.status_code == 409
    assert "never the private key" in answer.get_data(as_text=True)


def test_what_a_rotation_waits_for_is_fetched_signed_and_brought_back(staffed):
    key, ada = signing.new_key(), staffed.client("ada")
    with staffed.begin() as tx:
        pem = signing.public_pem(signing.public_bytes(key))
        actions.add_key(tx, SYSTEM, "old", pem, clock.utc_now())
        new = actions.add_key(tx, SYSTEM, "new", signing.public_pem(signing.public_bytes(signing.new_key())), clock.utc_now())
    assert ada.post("/settings/keys/rotate", {"add": new}).status_code == 303
    with staffed.begin() as tx:
        (waiting,) = queries.unsigned(tx, clock.utc_now())
        body = queries.body_of(tx, waiting.id)
    file = ada.get(f"/settings/keys/manifests/{waiting.id}/signing.sh")
    assert "openssl" in file.get_data(as_text=True)
    assert "attachment" in file.headers["Content-Disposition"]
    wrong = ada.post("/settings/keys/signatures", {"signatures": signature_line(waiting.uid, bytes(64))})
    assert (wrong.status_code, "no signature of a known key" in wrong.get_data(as_text=True)) == (409, True)
    right = signature_line(waiting.uid, signing.sign(key, body))
    assert ada.post("/settings/keys/signatures", {"signatures": right}).status_code == 303
    assert "Nothing waits for a signature" in ada.get("/settings/keys").get_data(as_text=True)


def test_keys_are_rotated_by_a_script(staffed):
    client, headers = staffed.app.test_client(), staffed.token("ada")
    old, new = signing.new_key(), signing.new_key()

    def ask(method, path, **body):
        return client.open(f"/api/v1/keys{path}", method=method, headers=headers, json=body or None)

    ids = [
        ask("POST", "", name=name, public_pem=signing.public_pem(signing.public_bytes(key)).decode()).json["id"]
        for name, key in (("old", old), ("new", new))
    ]
    refused = ask("POST", "/rotate", retire=ids)
    assert (refused.status_code, "would leave no key" in refused.json["detail"]) == (409, True)
    (order,) = ask("POST", "/rotate", add=ids[1:], retire=ids[:1]).json["waiting"]
    assert (order["add"], order["retire"]) == ([signing.public_bytes(new).hex()], ids[:1])
    assert order["id"] in ask("GET", "/signing.sh").get_data(as_text=True)
    with staffed.begin() as tx:
        body = queries.body_of(tx, queries.by_uid(tx, order["id"]).id)
    line = signature_line(order["id"], signing.sign(old, body))
    assert ask("POST", "/signatures", signatures=line).json["waiting"] == []
    assert ask("POST", f"/{ids[0]}/retire", why="rotated").status_code == 204
    assert [key["id"] for key in ask("GET", "").json["keys"] if key["retired_at"] is None] == ids[1:]


def test_a_rollouts_signature_is_not_brought_back_as_one_of_keys(staffed):
    now, steps = clock.utc_now(), ({"kind": "upgrade", "provider": "apt", "packages": [{"name": "firefox"}]},)
    with staffed.begin() as tx:
        wanted = Wanted(Purpose.FORWARD, 1, 1, "Firefox", Target(endpoints=("1" * 32,)), steps, now, now + DAY)
        uid = queries.manifest(tx, actions.prepare(tx, wanted, now)).uid
        with pytest.raises(SigningError, match="is no change of keys"):
            actions.bring_signatures(tx, SYSTEM, signature_line(uid, bytes(64)), now, of_keys=True)


@pytest.fixture
def uid(staffed):
    """The uid of a job on Harbour's PC whose first step is done and whose second failed."""
    packages = ({"name": "ca-certificates", "version": "2"}, {"name": "firefox", "version": "128"})
    now, steps = clock.utc_now(), tuple({"kind": "upgrade", "provider": "apt", "packages": [one]} for one in packages)
    with staffed.begin() as tx:
        wanted = Wanted(Purpose.FORWARD, 1, 1, "Firefox 128", Target(endpoints=("1" * 32,)), steps, now, now + DAY)
        manifest = actions.prepare(tx, wanted, now)
        (job_id,) = jobs.create(tx, manifest, [(1, 1)], None, now + DAY, False, now).values()
        made = tx.scalar(sa.select(Job.uid).where(Job.id == job_id))
        jobs.release(tx, [job_id], now, now + DAY, False, now)
        failed = Report(made, Told.STEP_FAILED, 2, "upgrade", why="apt failed", words=HOSTILE)
        said = [Report(made, Told.STARTED), Report(made, Told.STEP_DONE, 1, "upgrade"), failed, Report(made, Told.FAILED)]
        jobs.report(tx, [(1, now, one) for one in said], now)
    return made


def test_a_jobs_story_has_the_systems_own_words_as_text(staffed, uid):
    page = staffed.client("tom").get(f"/jobs/{uid}").get_data(as_text=True)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page
    assert "Done: </span>Upgrade by apt: ca-certificates 2<" in page
    assert "Failed: </span>Upgrade by apt: firefox 128<" in page
    assert staffed.client("otto").get(f"/jobs/{uid}").status_code == 404


def test_a_job_that_began_cannot_be_cancelled_and_the_page_says_so(staffed, uid):
    answer = staffed.client("tom").post(f"/jobs/{uid}/cancel", {"why": "no"})
    assert answer.status_code == 409
    assert 'role="alert"' in answer.get_data(as_text=True)
