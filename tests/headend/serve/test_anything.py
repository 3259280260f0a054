"""Whatever is asked, as the OpenAPI document allows or not: never a 5xx, and only answers that the document names.

Schemathesis makes the requests from the document that the service gives out.
"""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from headend.pack.keys import write_key_pair
from headend.serve.api import OPERATIONS
from tests.headend.serve.conftest import Office

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ASKED = [each for each in OPERATIONS if not each.gives_events]
"""All but the stream of events, which has no end."""


@pytest.fixture(scope="module")
def office(tmp_path_factory, make_release):
    made = Office(tmp_path_factory.mktemp("anything") / "data")
    write_key_pair(made.folder / "bulletin")
    made.upload(make_release(20_000, symbol_size=512))
    made.create()
    return made


@pytest.fixture(scope="module")
def document(office):
    return schemathesis.openapi.from_asgi("/openapi.json", office.anyone.app, headers={"Host": "127.0.0.1"})


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("asked", ASKED, ids=lambda each: f"{each.method} {each.path}")
def test_nothing_that_is_asked_is_too_much(office, document, asked, mode):
    """By somebody who may do everything."""
    operation = document[asked.path][asked.method]
    if mode is GenerationMode.NEGATIVE and not (asked.takes or asked.query or asked.needs_match or "{" in asked.path):
        mode = GenerationMode.POSITIVE  # nothing can be wrong with it

    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        office.time.now_s += 1.0
        case.headers.update({"Authorization": f"Bearer {office.token}", "Host": "127.0.0.1"})
        case.validate_response(case.call(), checks=CHECKS)

    ask()
