"""The pages about people, tokens and the journal: what they show once, what they refuse, what they find."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from fettle_server.estate.people.rules import Role
from fettle_server.estate.tables import ApiToken, Endpoint, EnrolmentToken, User, UserSchool


@pytest.fixture
def ada(staffed):
    return staffed.client("ada")


def _shown(page, label):
    """The value of the field that is shown once."""
    match = re.search(rf'readonly value="([^"]+)" aria-label="{label}"', page.get_data(as_text=True))
    return match[1] if match else ""


def test_a_new_persons_password_is_shown_once_and_opens_the_door(staffed, ada):
    page = ada.post("/people", {"name": "nina", "role": "technician", "school": "1"})
    password = _shown(page, "One-time password")
    assert password not in ada.get("/people").get_data(as_text=True)
    answer = staffed.client().post("/sign-in", {"name": "nina", "password": password})
    assert answer.location.startswith("/account/password")


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": "nina", "role": "technician"}, "at least one school"),
        ({"name": "nina", "role": "technician", "school": "1", "all_schools": "1"}, "either all schools or only some"),
        ({"name": "nina", "role": "king", "all_schools": "1"}, "Choose a role"),
        ({"name": "TOM", "role": "viewer", "all_schools": "1"}, "already"),
        ({"name": " ", "role": "viewer", "all_schools": "1"}, "1 to 80 visible characters"),
        ({"name": "nina", "role": "viewer", "school": "77"}, "does not exist"),
    ],
)
def test_a_person_that_cannot_be_is_refused_with_the_reason(staffed, ada, form, sentence):
    before = staffed.value(sa.select(sa.func.count()).select_from(User))
    page = ada.post("/people", form)
    assert page.status_code == 400
    assert sentence in page.get_data(as_text=True)
    assert staffed.value(sa.select(sa.func.count()).select_from(User)) == before


def test_the_last_administrator_cannot_be_taken_away(staffed, ada):
    page = ada.post(f"/people/{staffed.people['ada'].id}", {"role": "viewer", "all_schools": "1", "active": "1"})
    assert page.status_code == 400
    assert "last administrator" in page.get_data(as_text=True)


def test_a_person_moved_to_another_school_sees_it_at_the_next_click(staffed, ada):
    tom = staffed.client("tom")
    assert "harbour-pc" in tom.get("/pcs").get_data(as_text=True)
    ada.post(f"/people/{staffed.people['tom'].id}", {"role": "technician", "school": "2", "active": "1"})
    page = tom.get("/pcs").get_data(as_text=True)
    assert "harbour-pc" not in page
    assert "hilltop-pc" in page
    assert staffed.value(sa.select(UserSchool.school_id).where(UserSchool.user_id == staffed.people["tom"].id)) == 2


def test_a_persons_name_is_text_whatever_it_says(ada):
    ada.post("/people", {"name": "<script>alert(1)</script>", "role": "viewer", "all_schools": "1"})
    assert "<script>alert" not in ada.get("/people").get_data(as_text=True)


def test_an_api_token_is_shown_once_and_works(staffed):
    tom = staffed.client("tom")
    token = _shown(tom.post("/account/tokens", {"name": "nightly", "role": "viewer", "days": "30"}), "The new token")
    assert token not in tom.get("/account").get_data(as_text=True)
    headers = {"Authorization": f"Bearer {token}"}
    assert staffed.app.test_client().get("/api/v1/endpoints", headers=headers).status_code == 200
    assert staffed.value(sa.select(ApiToken.used_at)) is not None


def test_nobody_makes_a_token_above_their_own_role(staffed):
    staffed.client("vera").post("/account/tokens", {"name": "up", "role": "administrator", "days": "30"})
    assert staffed.value(sa.select(ApiToken.role)) == "viewer"


def test_an_enrolment_token_is_shown_once_with_its_command(staffed):
    tom = staffed.client("tom")
    page = tom.post("/enrolment", {"school": "Harbour School", "uses": "3", "hours": "24"})
    command = _shown(page, "The command")
    assert re.fullmatch(r"fettle-agent enrol --server localhost:7443 --token fettle1-[a-z2-7]{26}-[0-9a-f]{32}", command)
    assert command.split()[-1] not in tom.get("/enrolment").get_data(as_text=True)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"school": "Harbour School", "uses": "0", "hours": "24"}, "1 to 10"),
        ({"school": "Harbour School", "uses": "1", "hours": "999999999999"}, "days"),
        ({"school": "Harbour School", "uses": "1", "hours": "-5"}, "longer than none"),
        ({"school": "", "uses": "1", "hours": "24"}, "visible characters"),
    ],
)
def test_an_enrolment_token_that_cannot_be_is_refused_with_the_reason(staffed, ada, form, sentence):
    page = ada.post("/enrolment", form)
    assert page.status_code == 400
    assert sentence in page.get_data(as_text=True)
    assert staffed.value(sa.select(sa.func.count()).select_from(EnrolmentToken)) == 0


def test_a_technician_makes_no_school_by_naming_it(staffed):
    assert staffed.client("tom").post("/enrolment", {"school": "New School", "uses": "1", "hours": "1"}).status_code == 403


def test_a_revoked_pc_is_out_for_good(staffed):
    staffed.client("tom").post(f"/pcs/{'1' * 32}/revoke")
    assert staffed.value(sa.select(Endpoint.revoked_at).where(Endpoint.pk == 1)) is not None


def test_the_audit_finds_by_kind_actor_and_subject(staffed, ada):
    staffed.client("tom").post("/incidents/1/acknowledge")
    for query in ("kind=incident", "kind=incident.changed", "actor=user:tom", "subject=incident:1"):
        assert ">incident:1<" in ada.get(f"/audit?{query}").get_data(as_text=True), query
    for query in ("kind=user", "actor=user:ada", "subject=incident:2", "until=2001-01-01"):
        assert ">incident:1<" not in ada.get(f"/audit?{query}").get_data(as_text=True), query


def test_the_audit_goes_back_page_by_page(staffed, ada):
    for n in range(60):
        staffed.person(f"person {n}", Role.VIEWER)
    first = ada.get("/audit?kind=user.added").get_data(as_text=True)
    older = re.search(r'href="(/audit\?[^"]*after=[^"]*)"', first)[1].replace("&amp;", "&")
    second = ada.get(older).get_data(as_text=True)
    assert "user:person 59" in first
    assert "user:person 0<" in second
    assert "user:person 59" not in second


@pytest.mark.parametrize("query", ["after=nonsense", "until=nonsense", "until=9999-12-31", "kind=%00", "actor=" + "x" * 5000])
def test_an_audit_address_that_makes_no_sense_is_no_accident(ada, query):
    assert ada.get(f"/audit?{query}").status_code in (200, 400)


def test_people_that_are_not_there_are_not_found(ada):
    form = {"role": "viewer", "all_schools": "1", "active": "1"}
    codes = [ada.post(path, form).status_code for path in ("/people/99", "/people/99/password", "/account/tokens/99/revoke")]
    assert codes == [400, 404, 404]
