"""Signing in and out, and what a sign-in is good for."""

from __future__ import annotations

import datetime as dt
import re
import threading
import time

import pytest
import sqlalchemy as sa
from fettle_server.estate.people.rules import Role
from fettle_server.estate.tables import Session, User
from fettle_server.journal.tables import Entry

PASSWORD = "four words in a row"


@pytest.fixture
def ada(console):
    console.person("ada", Role.ADMINISTRATOR, password=PASSWORD)
    return console


def _sign_in(client, password=PASSWORD, **more):
    return client.post("/sign-in", {"name": "ada", "password": password, **more})


def _cookie(client, name="fettle"):
    return client.flask.get_cookie(name)


def test_a_page_sends_a_stranger_to_the_door_and_back_afterwards(ada):
    client = ada.client()
    turned_away = client.get("/pcs?state=ill")
    assert turned_away.status_code == 303
    assert turned_away.location == "/sign-in?next=/pcs?state%3Dill"
    assert _sign_in(client, next="/pcs?state=ill").location == "/pcs?state=ill"
    assert client.get("/account").status_code == 200


def test_the_cookie_holds_nothing_but_a_secret_that_scripts_cannot_read(ada):
    client = ada.client()
    _sign_in(client)
    cookie = _cookie(client)
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    assert not cookie.secure
    assert len(cookie.value) == 43
    assert ada.value(sa.select(sa.func.count()).select_from(Session).where(Session.secret_sha256 == cookie.value)) == 0


def test_over_https_the_cookie_is_bound_to_the_host(open_console):
    console = open_console(public_url="https://fettle.example")
    console.person("ada", Role.ADMINISTRATOR, password=PASSWORD)
    client = console.client()
    headers = {"Referer": "https://fettle.example/sign-in"}
    page = client.get("/sign-in", base_url="https://fettle.example")
    client.form_token = page.get_data(as_text=True).split('name="csrf_token" value="')[1].split('"')[0]
    answer = client.post("/sign-in", {"name": "ada", "password": PASSWORD}, base_url="https://fettle.example", headers=headers)
    named = [cookie for cookie in answer.headers.getlist("Set-Cookie") if cookie.startswith("__Host-fettle=")]
    assert len(named) == 1
    assert "Secure" in named[0]
    assert "Path=/" in named[0]
    assert "Domain" not in named[0]


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_a_wrong_password_is_refused_in_the_same_words_for_any_name(ada, name):
    answer = ada.client().post("/sign-in", {"name": name, "password": "wrong"})
    assert answer.status_code == 401
    assert "The name or the password is not right" in answer.get_data(as_text=True)
    assert ada.value(sa.select(Entry.subject).where(Entry.kind == "user.sign_in_failed")) == f"user:{name}"


def test_signing_in_gives_a_new_secret_and_ends_the_old_one(ada):
    client = ada.client()
    _sign_in(client)
    first = _cookie(client).value
    client.form_token = ""
    client.flask.get("/account")
    client.flask.delete_cookie("fettle")
    client.flask.set_cookie("fettle", "a secret that an attacker put here")
    client.form_token = ""
    _sign_in(client)
    assert _cookie(client).value not in (first, "a secret that an attacker put here")


def test_a_form_token_from_before_the_sign_in_is_of_no_use_after_it(ada):
    client = ada.client()
    old = client.token()
    _sign_in(client)
    client.form_token = old
    assert client.post("/sign-out").status_code == 400
    assert client.get("/account").status_code == 200


def test_signing_out_ends_the_session_on_the_server(ada):
    client = ada.client("ada")
    secret = _cookie(client).value
    assert client.post("/sign-out").location == "/sign-in"
    client.flask.set_cookie("fettle", secret)
    assert client.get("/account").status_code == 303


@pytest.mark.parametrize(
    ("column", "age"),
    [("seen_at", dt.timedelta(minutes=121)), ("expires_at", dt.timedelta(hours=13))],
    ids=["unused for too long", "too old in any case"],
)
def test_a_session_ends_by_itself(ada, column, age):
    client = ada.client("ada")
    with ada.begin() as tx:
        then = tx.scalar(sa.select(getattr(Session, column))) - age
        tx.execute(sa.update(Session).values({column: then}))
    assert client.get("/account").status_code == 303


def test_a_person_sees_their_sign_ins_and_ends_one(ada):
    here, there = ada.client("ada"), ada.client("ada")
    page = here.get("/account").get_data(as_text=True)
    (other,) = re.findall("/account/sessions/([0-9a-f]{16})/end", page)
    assert here.post(f"/account/sessions/{other}/end").status_code == 303
    assert there.get("/account").status_code == 303
    assert here.get("/account").status_code == 200


def test_signing_out_everywhere_ends_every_session_of_the_person(ada):
    here, there = ada.client("ada"), ada.client("ada")
    assert here.post("/account/sessions/end").location == "/sign-in"
    assert [client.get("/account").status_code for client in (here, there)] == [303, 303]


def test_a_one_time_password_opens_only_the_page_that_replaces_it(ada):
    with ada.begin() as tx:
        tx.execute(sa.update(User).values(must_change_password=True))
    client = ada.client()
    assert _sign_in(client).location.startswith("/account/password")
    assert client.get("/pcs").location == "/account/password"
    client.form_token = ""
    data = {"new": "another four words in a row", "again": "another four words in a row"}
    assert client.post("/account/password", data).status_code == 303
    assert client.get("/account").status_code == 200


def test_the_one_time_password_itself_will_not_do_as_the_new_one(ada):
    with ada.begin() as tx:
        tx.execute(sa.update(User).values(must_change_password=True))
    client = ada.client("ada")
    answer = client.post("/account/password", {"new": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 400
    assert "Choose another password" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"old": "wrong", "new": "quite another password", "again": "quite another password"}, "present password is not right"),
        ({"old": PASSWORD, "new": "quite another password", "again": "and yet another one"}, "differ"),
        ({"old": PASSWORD, "new": "short", "again": "short"}, "at least 12 characters"),
    ],
)
def test_a_new_password_that_cannot_be_taken_is_refused_with_the_reason(ada, data, sentence):
    answer = ada.client("ada").post("/account/password", data)
    assert answer.status_code == 400
    assert sentence in answer.get_data(as_text=True)


def test_a_new_password_ends_the_other_sign_ins_and_keeps_this_one(ada):
    here, there = ada.client("ada"), ada.client("ada")
    data = {"old": PASSWORD, "new": "another four words in a row", "again": "another four words in a row"}
    assert here.post("/account/password", data).status_code == 303
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 303


def test_too_many_tries_from_one_address_wait(open_console):
    console = open_console(sign_in_limit="3 per minute")
    client = console.client()
    answers = [client.post("/sign-in", {"name": f"name{i}", "password": "wrong"}) for i in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert 0 < int(answers[3].headers["Retry-After"]) <= 60
    assert "Wait" in answers[3].get_data(as_text=True)


def test_too_many_wrong_passwords_for_one_name_wait_whatever_the_address(open_console):
    console = open_console(sign_in_limit="1000 per minute")
    codes = []
    for i in range(12):
        client = console.client()
        where = {"REMOTE_ADDR": f"10.0.0.{i}"}
        codes.append(client.post("/sign-in", {"name": "ada", "password": "wrong"}, environ_base=where).status_code)
    assert codes == [401] * 10 + [429] * 2


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "",
        "/sign-in",
    ],
)
def test_after_signing_in_nobody_is_sent_elsewhere(ada, target):
    assert _sign_in(ada.client(), next=target).location == "/"


def test_a_locked_out_person_is_out_at_once(ada):
    client = ada.client("ada")
    with ada.begin() as tx:
        tx.execute(sa.update(User).values(active=False))
    assert client.get("/account").status_code == 303
    assert _sign_in(ada.client()).status_code == 401


def test_a_part_of_a_page_is_not_redirected_when_the_sign_in_has_ended(ada):
    answer = ada.client().get("/pcs", headers={"Sec-Fetch-Mode": "cors"})
    assert answer.status_code == 401


def test_passwords_are_checked_a_few_at_a_time(open_console, monkeypatch):
    console = open_console(sign_in_limit="1000 per minute")
    at_once, most, lock = 0, 0, threading.Lock()

    def slow_check(*_):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1

    monkeypatch.setattr("fettle_web.pages.sign_in.queries.check_sign_in", slow_check)
    clients = [console.client() for _ in range(9)]
    for client in clients:
        client.token()
    threads = [threading.Thread(target=client.post, args=("/sign-in", {"name": f"n{n}"})) for n, client in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= 4
