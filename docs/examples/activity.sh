#!/bin/sh
# What the key manager has done since its start, with buf and no code at all: `sh activity.sh PROTO_DIRECTORY`.
exec buf curl --schema "$1" --protocol grpc \
  --cacert "$QEKM_HOME/pki/trust.pem" --cert "$QEKM_HOME/pki/administrator.pem" --key "$QEKM_HOME/pki/administrator.key" \
  "https://${QEKM_TARGET:-localhost:3802}/qekm.v1.ReportService/GetActivity"
