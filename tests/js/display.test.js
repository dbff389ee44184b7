import assert from "node:assert/strict";
import { test } from "node:test";
import { readDisplay, timeZoneOf, withDisplay, writeDisplay } from "../../static/js/view/display.js";

test("the address decides, then the last choice, then the server", () => {
  assert.deepEqual(readDisplay("", null, "mph"), { unit: "mph", zone: "browser" });
  assert.deepEqual(readDisplay("", null, "kmh"), { unit: "kmh", zone: "browser" });
  assert.deepEqual(readDisplay("", "?unit=kmh&zone=roads", "mph"), { unit: "kmh", zone: "roads" });
  assert.deepEqual(readDisplay("?q=a&unit=mph&zone=utc", "?unit=kmh&zone=roads", "kmh"), { unit: "mph", zone: "utc" });
  assert.deepEqual(readDisplay("?unit=kmh", "?unit=mph&zone=roads", "mph"), { unit: "kmh", zone: "roads" });
  assert.deepEqual(readDisplay("?unit=knots&zone=mars", "?unit=furlongs&zone=", "mph"), { unit: "mph", zone: "browser" });
});

test("a choice is written into the address, beside what there is", () => {
  assert.equal(writeDisplay("", { unit: "mph", zone: "browser" }), "?unit=mph&zone=browser");
  assert.equal(writeDisplay("?map=34.05,-118.25,11&unit=mph", { unit: "kmh", zone: "utc" }), "?map=34.05,-118.25,11&unit=kmh&zone=utc");
});

test("a link to another page has the unit and the zone of the address", () => {
  assert.equal(withDisplay("/predictions/road/I-5+N", "?q=a&unit=kmh&zone=utc"), "/predictions/road/I-5+N?unit=kmh&zone=utc");
  assert.equal(withDisplay("/predictions?road=I-5+N", "?unit=kmh"), "/predictions?road=I-5+N&unit=kmh");
  assert.equal(withDisplay("/predictions", "?q=a"), "/predictions");
});

test("the zone of the roads is that of the server, or UTC where the browser does not know it", () => {
  assert.equal(timeZoneOf("browser", "America/Los_Angeles"), undefined);
  assert.equal(timeZoneOf("utc", "America/Los_Angeles"), "UTC");
  assert.equal(timeZoneOf("roads", "America/Los_Angeles"), "America/Los_Angeles");
  assert.equal(timeZoneOf("roads", "Mars/Olympus"), "UTC");
});
