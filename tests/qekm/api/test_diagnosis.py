"""DiagnosisService over the wire."""

from __future__ import annotations

import asyncio

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from qekm.api import diagnosis
from qekm.errors import GatewayAway
from qekm.v1 import diagnosis_pb2 as pb
from qekm.v1.serving_pb2 import DiagnoseReport, GatewayHello, ServeRequest
from tests.qekm.api.running import Gateway, Running


async def connected(run: Running, count: int = 1) -> None:
    """Wait until the service knows of the gateways."""
    while len(run.service.gateways) < count:
        await asyncio.sleep(0.01)


async def play(gateway: Gateway, *results: pb.TestResult) -> x509.Certificate:
    """Answer a diagnose command and return the certificate that came with it."""
    command = (await gateway.read()).diagnose
    report = DiagnoseReport(command_id=command.command_id, results=results)
    await gateway.stream.write(ServeRequest(diagnose_report=report))
    return x509.load_der_x509_certificate(command.drive_certificates[0])


async def test_without_a_gateway_there_is_nothing_to_diagnose(run: Running) -> None:
    with pytest.raises(GatewayAway, match="no gateway") as caught:
        await run.client.diagnosis.Diagnose(pb.DiagnoseRequest())
    assert "qekm server start" in caught.value.advice


async def test_a_gateways_test_drive_gets_a_certificate_for_its_key_and_its_results_are_told(
    run: Running,
) -> None:
    async with run.gateway() as gateway:
        await connected(run)
        asked = asyncio.ensure_future(run.client.diagnosis.Diagnose(pb.DiagnoseRequest()))
        told = pb.TestResult(
            gateway="somebody else",
            test=pb.TEST_PING,
            status=pb.TEST_STATUS_PASSED,
            message="the port answers",
        )
        (intent,) = await run.recorded("rpc.Diagnose")
        assert (intent.outcome.name, intent.actor, intent.message) == (
            "INTENT",
            "administrator/administrator",
            "1 gateways",
        )
        certificate = await play(gateway, told)
        assert certificate.public_key() == gateway.private.public_key()
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
        assert name.value == "QEKMDIAG0001"
        (result,) = (await asked).results
        assert (result.gateway, result.message) == ("gateway", "the port answers")
    record = [each for each in await run.records() if each.event == "rpc.Diagnose"][-1]
    assert record.message == "1 tests, 0 not passed"


async def test_every_connected_gateway_is_asked(run: Running) -> None:
    async with run.gateway() as one, run.gateway() as two:
        await connected(run, 2)
        asked = asyncio.ensure_future(run.client.diagnosis.Diagnose(pb.DiagnoseRequest()))
        await asyncio.gather(*(play(each, pb.TestResult(test=pb.TEST_PATH)) for each in (one, two)))
        assert len((await asked).results) == 2


async def test_a_gateway_that_leaves_or_does_not_report_in_time_has_failed(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "PATIENCE_S", 3.0)
    async with run.gateway() as silent:
        async with run.gateway() as leaving:
            await connected(run, 2)
            asked = asyncio.ensure_future(run.client.diagnosis.Diagnose(pb.DiagnoseRequest()))
            await leaving.read()
        results = (await asked).results
        assert sorted(result.message for result in results) == [
            "gateway gateway left meanwhile",
            "the gateway did not report within 3 s",
        ]
        assert {result.status for result in results} == {pb.TEST_STATUS_FAILED}
        assert (await silent.read()).HasField("diagnose")


async def test_a_late_or_made_up_report_is_dropped(run: Running) -> None:
    async with run.gateway() as gateway:
        await connected(run)
        await gateway.stream.write(ServeRequest(diagnose_report=DiagnoseReport(command_id=99)))
        asked = asyncio.ensure_future(run.client.diagnosis.Diagnose(pb.DiagnoseRequest()))
        await play(gateway, pb.TestResult(test=pb.TEST_PING))
        assert len((await asked).results) == 1


async def test_a_gateway_without_a_proper_key_for_its_test_drive_has_failed(run: Running) -> None:
    async with run.gateway(ServeRequest(hello=GatewayHello(diagnosis_spki=b"rubbish"))):
        await connected(run)
        (result,) = (await run.client.diagnosis.Diagnose(pb.DiagnoseRequest())).results
        assert (result.status, result.message) == (
            pb.TEST_STATUS_FAILED,
            "gateway gateway has no key for a test drive",
        )
