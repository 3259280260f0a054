"""The OpenAPI document is made of the same table as the routes."""

import json

from headend.serve.api import OPERATIONS
from headend.serve.operations import openapi


def test_every_route_is_in_the_document_and_no_other(office):
    document = office.anyone.get("/openapi.json").json()
    assert document == json.loads(json.dumps(openapi(OPERATIONS)))
    described = {(method.upper(), path) for path, verbs in document["paths"].items() for method in verbs}
    assert described == {(each.method, each.path) for each in OPERATIONS}


def test_every_reference_leads_somewhere():
    text = json.dumps(openapi(OPERATIONS))
    schemas = openapi(OPERATIONS)["components"]["schemas"]
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in schemas


def test_what_changes_something_needs_a_role_and_says_on_what_it_was_decided():
    for each in OPERATIONS:
        if each.method != "GET" and each.path not in ("/api/login", "/api/logout"):
            assert each.role is not None
        assert each.needs_match is (each.method in ("PUT", "PATCH", "DELETE"))
