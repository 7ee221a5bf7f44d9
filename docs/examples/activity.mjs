// What the key manager has done since its start, in Node.js: `node activity.mjs PROTO_DIRECTORY`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const home = process.env.QEKM_HOME;
const target = process.env.QEKM_TARGET ?? "localhost:3802";
const pki = (name) => readFileSync(join(home, "pki", name));

const options = { includeDirs: [process.argv[2]], keepCase: true, longs: Number, enums: String };
const definition = loader.loadSync("qekm/v1/report.proto", options);
const { ReportService } = grpc.loadPackageDefinition(definition).qekm.v1;
const credentials = grpc.credentials.createSsl(
  pki("trust.pem"),
  pki("administrator.key"),
  pki("administrator.pem"),
);
const client = new ReportService(target, credentials);

client.GetActivity({}, { deadline: Date.now() + 30_000 }, (error, activity) => {
  if (error) {
    console.error(`${error.code}: ${error.details}`); // the reason is in the status details: docs/errors.md
    process.exitCode = 1;
  } else {
    for (const event of activity.events) console.log(event.count, event.event, event.code);
  }
  client.close();
});
