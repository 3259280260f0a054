"""The API as it is asked: roles, revisions, limits; and refusals that say what to do."""

import asyncio

import pytest

from headend.serve.api import OPERATIONS
from tests.conftest import OTHER_KEY

ANY = {"If-Match": "*"}
NOBODYS = "f" * 32


def test_an_upload_goes_on_the_air(office, make_release):
    key = office.upload(make_release(100_000, symbol_size=512))
    made = office.create()
    assert (made.status_code, made.headers["etag"]) == (201, '"3"')
    put = office.admin.put(f"/api/carousels/lab/releases/{key}", json={"weight": 2}, headers={"If-Match": '"3"'})
    assert put.status_code == 200
    (order,) = office.keeper.orders
    assert [title.airing.weight for title in order.titles] == [2]
    shown = office.admin.get("/api/releases").json()
    assert [(each["id"], each["carousels"]) for each in shown] == [(key, ["lab"])]
    assert "header" not in shown[0]


def test_the_same_upload_twice_is_one_release(office, make_release):
    release = make_release(100_000, symbol_size=512)
    assert office.upload(release) == office.upload(release)
    assert office.admin.get("/api/status").json()["audit"]["entries"] == 2


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.role], ids=lambda each: each.summary)
def test_nobody_gets_in_without_a_token(office, operation):
    path = operation.path.replace("{name}", "lab").replace("{id}", NOBODYS)
    for client in (office.anyone, office.anyone):
        answer = client.request(operation.method, path, headers=ANY)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    answer = office.anyone.request(operation.method, path, headers=ANY | {"Authorization": "Bearer wrong"})
    assert answer.status_code == 401


def test_a_wrong_token_is_called_wrong(office):
    for answer in (
        office.anyone.get("/api/me", headers={"Authorization": "Bearer wrong"}),
        office.anyone.post("/api/login", json={"token": "wrong"}, headers={"Origin": "http://127.0.0.1"}),
    ):
        assert (answer.status_code, "this token is not known here" in answer.json()["detail"]) == (401, True)
    assert "log in with a token" in office.anyone.get("/api/me").json()["detail"]


@pytest.mark.parametrize("role", ["view", "operate"])
def test_a_role_may_do_so_much_and_no_more(office, role):
    client = office.as_role(role)
    assert client.get("/api/status").status_code == 200
    body = {"name": "two", "group": "239.255.77.2:5077", "interface": "lo", "rate_bps": 1e6}
    assert client.post("/api/carousels", json=body).status_code == (403 if role == "view" else 201)
    refused = client.post("/api/tokens", json={"name": "eve", "role": "admin"})
    assert (refused.status_code, "needs the role admin" in refused.json()["detail"]) == (403, True)


def test_two_operators_do_not_overwrite_each_other(office):
    tag = office.create().headers["etag"]
    first = office.admin.patch("/api/carousels/lab", json={"rate_bps": 2e6}, headers={"If-Match": tag})
    second = office.admin.patch("/api/carousels/lab", json={"rate_bps": 3e6}, headers={"If-Match": tag})
    assert (first.status_code, second.status_code) == (200, 412)
    assert "look at it again" in second.json()["detail"]
    assert office.admin.get("/api/carousels/lab").json()["decided"]["rate_bps"] == 2e6


@pytest.mark.parametrize(
    ("tag", "status"),
    [(None, 428), ("17", 400), ('"x"', 412), ('W/"2"', 412), ('"99"', 412), ('"1", "2"', 200), ("*", 200)],
)
def test_if_match_is_read_as_http_has_it(office, tag, status):
    office.create()
    headers = {} if tag is None else {"If-Match": tag}
    assert office.admin.patch("/api/carousels/lab", json={"rate_bps": 2e6}, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"rate_bps": "fast"}', 400),
        (b'{"rate_bps": 1}', 400),
        (b'{"rate_bps": 1e999}', 400),
        (b'{"what": 1}', 400),
        (b"\xff\xfe", 400),
        (b" " * 70_000, 413),
        (b"{}", 200),
    ],
)
def test_bodies_are_read_strictly(office, body, status):
    office.create()
    headers = ANY | {"Content-Type": "application/json"}
    assert office.admin.patch("/api/carousels/lab", content=body, headers=headers).status_code == status


def test_a_release_of_an_unknown_key_is_refused_at_the_door(office, make_release):
    raw = bytes(make_release(100_000, key=OTHER_KEY, symbol_size=512).buffer)
    answer = office.admin.post("/api/releases", content=raw)
    assert (answer.status_code, "does not trust" in answer.json()["detail"]) == (422, True)


def test_a_key_that_is_trusted_no_more_puts_nothing_on_the_air(office, make_release):
    key = office.upload(make_release(100_000, symbol_size=512))
    office.create()
    path = f"/api/carousels/lab/releases/{key}"
    assert office.admin.put(path, json={}, headers=ANY).status_code == 200
    (office.folder / "trust" / "lab.pub").unlink()
    assert office.admin.put(path, json={"weight": 2}, headers=ANY).status_code == 422
    assert office.admin.patch("/api/carousels/lab", json={"rate_bps": 2e6}, headers=ANY).status_code == 200
    assert office.keeper.orders[0].titles == ()
    assert any("does not trust" in fields.get("reason", "") for _, fields in office.told)


def test_a_key_that_is_taken_away_takes_its_releases_off_the_air_and_brings_them_back(office, make_release):
    key = office.upload(make_release(100_000, symbol_size=512))
    office.create()
    office.admin.put(f"/api/carousels/lab/releases/{key}", json={}, headers=ANY)
    trusted = office.folder / "trust" / "lab.pub"
    trusted.rename(trusted.with_suffix(".gone"))
    for _ in range(2):
        asyncio.run(office.headend.tend())
    assert office.keeper.orders[0].titles == ()
    assert "does not trust" in office.admin.get("/api/carousels/lab").json()["on_air"]["trouble"]
    trusted.with_suffix(".gone").rename(trusted)
    asyncio.run(office.headend.tend())
    assert [title.airing.release for title in office.keeper.orders[0].titles] == [key]
    assert office.admin.get("/api/carousels/lab").json()["on_air"]["trouble"] == ""
    told = [event for event, fields in office.told if "does not trust" in fields.get("reason", "")]
    assert told == ["trouble", "trouble_over"]


def test_a_release_whose_file_is_gone_is_not_sent(office, make_release):
    gone, stays = (office.upload(make_release(size, symbol_size=512)) for size in (100_000, 120_000))
    office.create()
    for key in (gone, stays):
        office.admin.put(f"/api/carousels/lab/releases/{key}", json={}, headers=ANY)
    office.headend.releases.path(gone).unlink()
    asyncio.run(office.headend.tend())
    assert [title.airing.release for title in office.keeper.orders[0].titles] == [stays]
    assert office.admin.get("/api/carousels/lab").json()["on_air"]["trouble"] == ""


def test_an_interface_that_is_not_there_is_told_at_once(office):
    assert office.create().json()["on_air"]["trouble"] == ""
    made = office.create("two", interface="nosuch0")
    assert (made.status_code, "no interface 'nosuch0'" in made.json()["on_air"]["trouble"]) == (201, True)


@pytest.mark.parametrize(("text", "rate_bps"), [("1.25MB/s", 10e6), ("50Mbit", 50e6), ("500k", 500e3)])
def test_a_rate_means_what_it_means_on_the_command_line(office, text, rate_bps):
    assert office.admin.get("/api/rate", params={"text": text}).json() == {"rate_bps": rate_bps}


@pytest.mark.parametrize("text", ["12000Q", "abc", "13,5M", "5", ""])
def test_what_is_no_rate_is_refused_in_the_command_lines_words(office, text):
    answer = office.admin.get("/api/rate", params={"text": text})
    assert (answer.status_code, f"rate {text!r} is not a rate in bit/s" in answer.json()["detail"]) == (422, True)


def test_too_large_an_upload_is_refused(office):
    answer = office.admin.post("/api/releases", content=b"x" * 2_000_001)
    assert (answer.status_code, list((office.folder / "uploads").iterdir())) == (413, [])


def test_a_release_on_the_air_is_not_deleted(office, make_release):
    key = office.upload(make_release(100_000, symbol_size=512))
    office.create()
    office.admin.put(f"/api/carousels/lab/releases/{key}", json={}, headers=ANY)
    assert office.admin.delete(f"/api/releases/{key}", headers=ANY).status_code == 409
    assert office.admin.delete(f"/api/carousels/lab/releases/{key}", headers=ANY).status_code == 200
    assert office.admin.delete(f"/api/releases/{key}", headers=ANY).status_code == 204
    assert office.admin.delete(f"/api/releases/{key}", headers=ANY).status_code == 404
    assert not office.headend.releases.path(key).exists()


def test_the_page_logs_in_by_a_cookie_that_scripts_and_others_pages_cannot_use(office):
    own = {"Origin": "http://127.0.0.1"}
    answer = office.anyone.post("/api/login", json={"token": office.token}, headers=own)
    assert answer.json() == {"name": "admin", "role": "admin"}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert office.anyone.get("/api/status").status_code == 200
    body = {"name": "lab", "group": "239.255.77.1:5077", "interface": "lo", "rate_bps": 8e6}
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert office.anyone.post("/api/carousels", json=body, headers=origin).status_code == 403
    assert office.anyone.post("/api/carousels", json=body, headers=own).status_code == 201
    office.time.now_s += 13 * 3600
    assert office.anyone.get("/api/status").status_code == 401


def test_a_log_out_ends_the_session(office):
    own = {"Origin": "http://127.0.0.1"}
    office.anyone.post("/api/login", json={"token": office.token}, headers=own)
    stolen = office.anyone.cookies["bootcast_session"]
    assert office.anyone.post("/api/logout", headers=own).status_code == 204
    assert office.anyone.get("/api/status", headers={"Cookie": f"bootcast_session={stolen}"}).status_code == 401


def test_a_deleted_token_ends_its_sessions(office):
    client = office.as_role("operate")
    assert client.get("/api/me").json()["role"] == "operate"
    assert office.admin.delete("/api/tokens/some-operate", headers=ANY).status_code == 204
    assert client.get("/api/me").status_code == 401
    assert office.admin.delete("/api/tokens/admin", headers=ANY).status_code == 409


def test_guessing_is_slow_and_keeps_nobody_out(office):
    guess = lambda: office.anyone.get("/api/me", headers={"Authorization": "Bearer no"}).status_code  # noqa: E731
    assert [guess() for _ in range(11)] == [401] * 10 + [429]
    assert office.admin.get("/api/me").status_code == 200
    office.time.now_s += 2.0
    assert guess() == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8377", 200),
        ("localhost", 200),
        ("[::1]:8377", 200),
        ("head.example:1", 200),
        ("evil.example", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_a_name_that_is_not_ours_is_not_answered(office, host, status):
    assert office.admin.get("/api/me", headers={"Host": host}).status_code == status


def test_what_is_not_there_is_a_problem_too(office):
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("PUT", "/api/status", 405),
        ("GET", "/api/carousels/x", 404),
    ):
        answer = office.admin.request(method, path)
        assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_the_audit_log_tells_who_did_what_and_no_secret(office):
    office.create()
    office.as_role("view")
    answer = office.admin.get("/api/audit", params={"limit": 2})
    assert [(each["who"], each["action"], each["key"]) for each in answer.json()] == [
        ("admin", "allow", "some-view"),
        ("admin", "create", "lab"),
    ]
    assert office.token not in answer.text
    assert "sha256" not in answer.text
    assert office.admin.get("/api/audit", params={"limit": "many"}).status_code == 400
    assert office.admin.get("/api/audit/verify").json()["is_sound"]


def test_tokens_are_kept_nowhere(office):
    office.as_role("view")
    for path in office.folder.glob("registry.sqlite*"):
        assert office.token.encode() not in path.read_bytes()
    assert (office.folder / "admin.token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "Lab X"}, "name has to be of a-z, 0-9 and dashes, at most 32"),
        ({"pair": "third"}, "pair has to be first or second"),
        ({"ttl": 300}, "Expected `int` <= 255 - at `$.ttl`"),
    ],
)
def test_what_has_the_wrong_form_is_told_in_words(office, body, words):
    refused = office.create(**body)
    assert (refused.status_code, refused.json()["detail"]) == (400, words)
    wrong = office.admin.post("/api/tokens", json={"name": "eve", "role": "boss"})
    assert wrong.json()["detail"] == "role can't be 'boss'"
