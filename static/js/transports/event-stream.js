/**
 * Parses text/event-stream by the WHATWG standard (HTML, "Parsing an event stream"), from chunks of any size. Pure.
 *
 * EventSource is not used because it hides comments. The server's heartbeats are comments, so a dead connection would
 * look like a quiet topic.
 */
export class EventStreamReader {
  #rest = "";
  /** @type {string[]} */
  #data = [];
  #afterReturn = false;

  /** @param {(text: string) => void} onData called for each event; `lastId` and `retryMs` are up to date then */
  constructor(onData) {
    this.onData = onData;
    /** @type {string | null} */
    this.lastId = null;
    /** @type {number | null} */
    this.retryMs = null;
  }

  /**
   * Take in the next chunk of text.
   *
   * @param {string} text
   */
  push(text) {
    // The line feed of a CR LF that was cut in two would be read as an empty line, which ends an event.
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text === "" ? this.#afterReturn : text.endsWith("\r");
    const all = this.#rest + text;
    const lines = all.split(all.includes("\r") ? /\r\n|\n|\r/ : "\n"); // the pattern takes twice as long
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
  }

  /** @param {string} line */
  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    return this.#field(field, value);
  }

  /**
   * @param {string} field
   * @param {string} value
   */
  #field(field, value) {
    if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.lastId = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch() {
    if (this.#data.length === 0) return;
    const data = this.#data.length === 1 ? this.#data[0] : this.#data.join("\n");
    this.#data = [];
    if (data !== "") this.onData(data);
  }
}
