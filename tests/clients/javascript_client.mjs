// Runs the client of static/greenwave.js, for tests/browser/test_javascript_client.py: `node FILE URL OPTIONS`. It prints
// what the client reports, one JSON object per line, in the form of tests/clients/run.py.
import { connect } from "../../static/greenwave.js";

const [url, { throws_at: throwsAt = [], tokens, ...options }] = [process.argv[2], JSON.parse(process.argv[3])];
const NAMES = { poll_seconds: "pollSeconds" };
const given = Object.fromEntries(Object.entries(options).map(([name, value]) => [NAMES[name] ?? name, value]));
const SHORT_MS = 200;

let now = 0;
const dateNow = Date.now;
Date.now = () => (now = dateNow()); // the wait that a state names begins at the time that the client read last

const report = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

process.on("uncaughtException", ({ message }) => report({ uncaught: message }));
process.on("unhandledRejection", () => process.exit(1));

const throwAt = (place) => {
  if (!throwsAt.includes(place)) return;
  throwsAt.splice(throwsAt.indexOf(place), 1);
  throw new Error(place);
};

const token = async () => {
  const each = tokens.length > 1 ? tokens.shift() : tokens[0];
  if (each === "throws") throw new Error("no network");
  return each === "nothing" ? undefined : each;
};

const connection = connect({
  url,
  ...given,
  ...(tokens ? { token } : {}),
  onMessage: (message) => {
    report({ message, cursor: connection.cursor });
    throwAt(message.data?.segment_id);
  },
  onState: ({ phase, reason, error, retryAt }) => {
    const waitMs = retryAt === null ? null : retryAt - now;
    report({ state: { phase, reason, error, retry_seconds: waitMs === null ? null : waitMs / 1000 } });
    if (waitMs > SHORT_MS) setTimeout(() => connection.retryNow(), 0); // so that tests are quick
    throwAt(phase);
  },
});
