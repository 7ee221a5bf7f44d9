"""The fake of the diagnosis service."""

from __future__ import annotations

from typing import Any

from qekm.v1 import diagnosis_pb2


class FakeDiagnosis:
    """Four tests that pass, unless one is told to fail."""

    def __init__(self) -> None:
        self.failed = 0

    def _status(self, test: int) -> Any:
        if not self.failed or test < self.failed:
            return diagnosis_pb2.TEST_STATUS_PASSED
        return diagnosis_pb2.TEST_STATUS_FAILED if test == self.failed else diagnosis_pb2.TEST_STATUS_SKIPPED

    def Diagnose(self, request: Any, timeout: float | None = None) -> Any:
        """Tell the results."""
        results = [
            diagnosis_pb2.TestResult(
                gateway="gateway",
                address="127.0.0.1:3801",
                test=test,
                status=self._status(test),
                message="as expected",
                elapsed_us=1500,
            )
            for test in diagnosis_pb2.Test.values()[1:]
        ]
        return diagnosis_pb2.DiagnoseResponse(results=results)
