"""The OpenAPI document, and whether the sandbox conforms to it."""

import asyncio
import inspect
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import ClientSession

from voucherify_exports.sandbox import Sandbox
from voucherify_exports.sandbox._control.control import ROOT
from voucherify_exports.sandbox._control.openapi import openapi

UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


async def schemathesis(sandbox: Sandbox, scratch: Path, *args: str) -> tuple[int | None, str]:
    """Run Schemathesis: it sends valid and invalid requests and compares the responses with the document."""
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    keys = ["-H", f"X-App-Id: {sandbox.app_id}", "-H", f"X-App-Token: {sandbox.app_token}"]
    options = ["--seed=1", "--max-examples=10", "--output-truncate=true", "--no-color", *args]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("run", f"{sandbox.url}{ROOT}/openapi.json", *keys, *options),
        cwd=scratch,
        env=UNMEASURED,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def properties(document: dict[str, Any], name: str) -> set[str]:
    """Return the properties of a schema."""
    schema = document["components"]["schemas"][name]
    return {*schema.get("oneOf", [schema])[0]["properties"]}


def options(function: Callable[..., object]) -> set[str]:
    return {*inspect.signature(function).parameters} - {"self"}


class TestDocument:
    async def test_is_served(self, sandbox: Sandbox, http: ClientSession) -> None:
        """The document is served, and its server is the sandbox."""
        async with http.get(f"{ROOT}/openapi.json") as answer:
            document = await answer.json()

        assert document == openapi(sandbox)
        assert document["openapi"] == "3.1.0"
        assert document["servers"] == [{"url": sandbox.url}]

    async def test_every_call_of_the_api(self, sandbox: Sandbox) -> None:
        """Each route of the API is described with its methods, and no other."""
        routes = {
            re.sub(r"\(.*?\)", "{}", route.pattern): {method.lower() for method in route.endpoints}
            for route in sandbox._api._routes
        }
        paths = cast("dict[str, dict[str, object]]", openapi(sandbox)["paths"])
        described = {
            re.sub("{.*?}", "{}", path): {*calls} - {"parameters"}
            for path, calls in paths.items()
            if not path.startswith(ROOT)
        }

        assert described == routes

    async def test_every_option(self, sandbox: Sandbox) -> None:
        """The bodies of the control API have the parameters of the methods."""
        document = openapi(sandbox)

        assert properties(document, "NewExport") == options(Sandbox.add_export)
        assert properties(document, "Fault") == options(Sandbox.fail) - {"edit"}

    async def test_every_reference(self, sandbox: Sandbox) -> None:
        """Each reference leads to a part of the document, and each part has a reference."""
        document = openapi(sandbox)
        references = {*re.findall('"#/components/([^"]+)"', json.dumps(document))}
        parts = {
            f"{kind}/{name}"
            for kind in ("headers", "parameters", "responses", "schemas")
            for name in cast("dict[str, dict[str, object]]", document["components"])[kind]
        }

        assert references == parts

    async def test_every_state(self, sandbox: Sandbox) -> None:
        """The state has the described properties."""
        assert properties(openapi(sandbox), "State") == {*sandbox.state()}


@pytest.mark.thorough
class TestSchemathesis:
    @pytest.mark.timeout(90)
    async def test_the_api(self, tmp_path: Path) -> None:
        """Every call conforms to its description, accepts valid requests and refuses others; none fails."""
        async with Sandbox(rate_limit=(100_000, 3600)) as sandbox:
            code, output = await schemathesis(
                sandbox, tmp_path, "--include-tag=exports", "--include-tag=oauth"
            )

            assert "No issues found" in output, output
            assert code == 0
            statuses = {request.status for request in sandbox.requests}
            assert {200, 204, 400, 401, 404, 405, 415} <= statuses
            assert max(filter(None, statuses)) < 500

    @pytest.mark.timeout(90)
    async def test_what_drives_it(self, tmp_path: Path) -> None:
        """The control API does as well."""
        # That an id exists already no schema can say, and what was added can have been cleared meanwhile.
        others = "--exclude-checks=positive_data_acceptance,ensure_resource_availability"
        async with Sandbox() as sandbox:
            code, output = await schemathesis(sandbox, tmp_path, "--include-tag=sandbox", others)

        assert "No issues found" in output, output
        assert code == 0
