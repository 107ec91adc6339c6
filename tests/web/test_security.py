"""What every answer carries and every request must bring: headers, form tokens, hosts, proxies, the signing key."""

from __future__ import annotations

import pytest
from fettle_server.estate.people.rules import Role
from fettle_web import auth, security

PASSWORD = "four words in a row"


@pytest.mark.parametrize("path", ["/", "/sign-in", "/no/such/page", "/api/v1/endpoints", "/healthz", "/static/icon.svg"])
def test_every_answer_carries_the_headers_that_bind_the_browser(console, path):
    headers = console.client().get(path).headers
    policy = {part.split()[0]: part.split()[1:] for part in headers["Content-Security-Policy"].split(";")}
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == ["'self'"]
    assert policy["style-src"] == ["'self'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"]
    assert policy["form-action"] == ["'self'"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize("path", ["/", "/account", "/incidents", "/api/v1/endpoints"])
def test_nothing_that_shows_data_is_kept_by_the_browser(staffed, path):
    assert staffed.client("ada").get(path).headers["Cache-Control"] == "no-store"


def test_https_is_insisted_on_only_where_it_is_spoken(console):
    client = console.client()
    assert "Strict-Transport-Security" not in client.get("/sign-in").headers
    assert "Strict-Transport-Security" in client.get("/sign-in", base_url="https://localhost").headers


@pytest.mark.parametrize("token", [None, "nonsense"])
def test_a_form_without_its_token_does_nothing(console, token):
    console.person("ada", Role.ADMINISTRATOR, password=PASSWORD)
    client = console.client("ada")
    answer = client.flask.post("/people", data={"name": "mallory", "role": "administrator", "csrf_token": token or ""})
    assert answer.status_code == 400
    assert "mallory" not in client.get("/people").get_data(as_text=True)


def test_the_form_token_of_another_browser_is_of_no_use(staffed):
    mine, other = staffed.client("ada"), staffed.client("ada")
    mine.token()
    mine.form_token = other.token()
    assert mine.post("/account/sessions/end").status_code == 400


def test_over_https_a_form_from_another_site_is_refused(staffed):
    client = staffed.client("ada")
    client.flask.set_cookie("__Host-fettle", client.flask.get_cookie("fettle").value, secure=True)
    page = client.get("/account/password", base_url="https://localhost").get_data(as_text=True)
    client.form_token = page.split('name="csrf_token" value="')[1].split('"')[0]
    answers = [
        client.post("/account/sessions/end", base_url="https://localhost", headers={"Referer": referrer})
        for referrer in ("https://evil.example/", "https://localhost/account")
    ]
    assert [answer.status_code for answer in answers] == [400, 303]


def test_a_host_that_is_not_the_consoles_is_refused_once_its_address_is_set(open_console):
    client = open_console(public_url="https://fettle.example").client()
    urls = ("http://evil.example", "https://fettle.example", "http://127.0.0.1:8080", "http://[::1]:8080")
    assert [client.get("/sign-in", base_url=url).status_code for url in urls] == [400, 200, 200, 200]
    assert client.get("/healthz", base_url="http://10.1.2.3").status_code == 200


def test_any_host_will_do_where_no_address_is_set():
    assert security.known_hosts("") == frozenset()


@pytest.mark.parametrize(("proxies", "seen"), [(0, "127.0.0.1"), (1, "203.0.113.9"), (2, "198.51.100.7")])
def test_only_so_many_proxies_are_believed(open_console, proxies, seen):
    console = open_console(trusted_proxies=proxies)
    with console.app.test_request_context():
        pass
    console.person("ada", Role.ADMINISTRATOR, password=PASSWORD)
    headers = {"X-Forwarded-For": "192.0.2.1, 198.51.100.7, 203.0.113.9"}
    client = console.client()
    client.post("/sign-in", {"name": "ada", "password": PASSWORD}, headers=headers)
    assert seen in client.get("/account").get_data(as_text=True)


def test_the_signing_key_is_made_once_and_is_the_owners_alone(tmp_path):
    path = tmp_path / security.KEY_FILE
    first = security.signing_key(path)
    assert security.signing_key(path) == first
    assert len(first) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_overlong_form_is_refused(staffed):
    client = staffed.client("ada")
    answer = client.post("/people", {"name": "x" * 1_100_000})
    assert answer.status_code == 413


@pytest.mark.parametrize("cookie", ["", "x" * 5000, "fettle_pat_abc", "' OR 1=1 --"])
def test_a_cookie_that_nobody_gave_out_is_nobody(console, cookie):
    answer = console.client().get("/account", headers={"Cookie": f"fettle={cookie}"})
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("target", "goes_to"),
    [
        ("/pcs?q=a", "/pcs?q=a"),
        ("//evil.example", "/"),
        ("/\\evil", "/"),
        ("http://evil", "/"),
        ("/%0d%0aSet-Cookie", "/%0d%0aSet-Cookie"),
        ("/\r\nX: y", "/"),
        (None, "/"),
    ],
)
def test_the_way_back_stays_within_the_console(target, goes_to):
    assert auth.safe_next(target) == goes_to


@pytest.mark.parametrize("path", ["/pcs/a%00b", "/pcs?q=%00", "/api/v1/incidents?search=%00"])
def test_an_address_with_a_nul_is_refused_before_any_store_sees_it(staffed, path):
    assert staffed.client("ada").get(path).status_code == 400


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_no_store_takes_is_refused_in_forms_and_json(staffed, text):
    client = staffed.client("ada").flask
    said = [client.post("/api/v1/incidents/1/comment", json={"text": text})]
    if text.isascii():
        said.append(client.post("/sign-in", data={"name": text}))
    assert {answer.text for answer in said} == {"The request holds characters that are not text.\n"}


def test_json_that_is_nested_without_end_is_refused(staffed):
    body = b"[" * 100_000 + b"]" * 100_000
    answer = staffed.client("ada").flask.post("/api/v1/incidents/1/comment", data=body, content_type="application/json")
    assert answer.status_code in (400, 422)
