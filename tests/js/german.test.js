import assert from "node:assert/strict";
import { test } from "node:test";

// The language is that of the document, and is read once.
/** @type {any} */ (globalThis).document = { documentElement: { lang: "de" } };
const { grouped, t } = await import("../../static/js/texts.js");
const format = await import("../../static/js/view/format.js");
const { translated } = await import("../../static/js/view/reasons.js");
const { jamText } = await import("../../static/js/view/jam-wording.js");

test("placeholders are filled in, and a count chooses the form", () => {
  assert.equal(t("segments", { count: 1 }), "1 Segment");
  assert.equal(t("segments", { count: 1234 }), "1.234 Segmente");
  assert.equal(t("jam.at", { road: "A {place}", place: "B" }), "A {place} bei B");
  assert.equal(grouped(20_000), "20.000");
});

test("numbers have the decimal sign of the language", () => {
  assert.equal(format.speed(31.25), "31,3");
  assert.equal(format.change(-0.5), "−0,5");
  assert.equal(format.brief(96.56), "96,6");
  assert.equal(format.horizonText(2.5), "+2,5 min");
  assert.equal(format.ago(1_200), "vor 1,2 s");
  assert.equal(format.distance(16.09344, "mph"), "10,0");
});

test("a rounded speed stays on its side of a threshold", () => {
  format.setDisplay({ served: "mph", unit: "mph", thresholdsMph: [60, 45, 30] });
  assert.equal(format.speed(29.96), "29,9");
});

test("dates are those of the language", () => {
  format.setDisplay({ served: "mph", unit: "mph", timeZone: "America/Los_Angeles" });
  assert.equal(format.moment(Date.UTC(2012, 2, 8, 1, 5)), "07.03.2012, 17:05");
});

test("reasons of the server are translated if they are known", () => {
  assert.equal(translated("connecting to Kafka"), "die Verbindung zu Kafka wird aufgebaut");
  assert.equal(
    translated("no response from the broker for 6 s; the server's log says what is wrong"),
    "keine Antwort des Brokers seit 6 s; das Protokoll des Servers nennt die Ursache",
  );
  assert.equal(
    translated("topic a.b does not exist, or may not be seen; it is picked up when it is there"),
    "das Topic a.b gibt es nicht, oder es ist nicht lesbar; sobald es da ist, wird es gelesen",
  );
  assert.equal(translated("no response from the leader of partitions 1, 2"), "keine Antwort vom Leader der Partitionen 1, 2");
  for (const other of ["", "a reason of a newer server", "connecting to Kafka and more", "no response from the broker for  s"]) {
    assert.equal(translated(other), other);
  }
});

test("sentences are those of the language", () => {
  /** @type {any} */
  const jam = { km: 5, now: 9, next: 7, isNow: true, since: null, isOlder: false, course: "growing" };
  const text = jamText(jam, { unit: "kmh", unitLabel: "km/h", horizon: 15, now: 0 });
  assert.equal(text, "5,0 km · 9 km/h jetzt, 7 in 15 min · wächst");
});
