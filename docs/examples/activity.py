"""What the key manager has done since its start, in Python: `python activity.py`."""

from qekm.client import connect
from qekm.v1.report_pb2 import GetActivityRequest

with connect() as service:  # the home of QEKM_HOME, the certificate of QEKM_IDENTITY
    activity = service.report.GetActivity(GetActivityRequest())

for event in activity.events:
    print(event.count, event.event, event.code)
