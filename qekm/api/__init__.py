"""The edge: who calls and may they, then one servicer per service. gRPC and protobuf stop here."""
